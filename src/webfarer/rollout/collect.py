"""Many attempts at many tasks, in chunks that are written whole.

A chunk's attempts run side by side and each is graded when it ends, while the others go on; a
chunk is one part on disk, written aside and
renamed, so a run that is killed goes on at the first chunk that is missing, and gives what it
would have given: nothing inside a chunk depends on another chunk, for a policy starts each of them
fresh (an engine's warm cache would show in the last bits).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from webfarer.grade.reward import FORMAT_WEIGHT, format_ok, reward
from webfarer.grade.sources import Grader, Judged
from webfarer.policy.base import Attempt, Policy
from webfarer.rollout.prompt import user_message
from webfarer.rollout.react import Rolled, roll
from webfarer.store.jsonl import read_jsonl
from webfarer.store.parts import Parts
from webfarer.store.shards import Shard, write_shard
from webfarer.tools.toolbox import Toolbox
from webfarer.types import BadInput, FailureError, Segment, Task, Trajectory, Verdict, seed_for

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """One attempt to make: the n-th at a task, or the one at temperature 0."""

    task: Task
    member: int = 0
    greedy: bool = False


def jobs_for(tasks: Iterable[Task], *, samples: int, greedy: bool) -> list[Job]:
    """The attempts at every task: where `greedy`, one at temperature 0 each, then the samples."""
    tasks = list(tasks)
    first = [Job(task, greedy=True) for task in tasks] if greedy else []
    return first + [Job(task, member) for task in tasks for member in range(samples)]


@dataclass(frozen=True)
class Arena:
    """Where attempts take place: the tools over each world's web, the grader, the prompt.

    `count` gives a text's tokens; `seed` keys every attempt together with its task and member.
    `format_weight` is the share of the reward that is for form; the rest is for the answer.
    """

    toolboxes: Mapping[str, Toolbox]
    grader: Grader
    system: str
    max_turns: int
    count: Callable[[str], int]
    seed: int = 0
    format_weight: float = FORMAT_WEIGHT

    async def attempt(self, policy: Policy, job: Job) -> Rolled:
        """One attempt, graded. Raises BadInput where the task's world is not here."""
        toolbox = self.toolboxes.get(job.task.origin.world)
        if toolbox is None:
            raise BadInput(
                f"task {job.task.id} is about the world {job.task.origin.world!r}, which is not "
                f"here; the worlds are: {', '.join(self.toolboxes)}"
            )
        seed = seed_for(self.seed, job.task.id, job.member, int(job.greedy))
        asked = user_message(job.task)
        attempt = Attempt(job.task, self.system, job.member, job.greedy, seed, asked)
        rolled = await roll(policy, toolbox, attempt, max_turns=self.max_turns, count=self.count)
        return replace(rolled, trajectory=await self.graded(rolled.trajectory, job.task))

    async def graded(self, trajectory: Trajectory, task: Task) -> Trajectory:
        """The trajectory as its grader judges it; see `graded`."""
        return await graded(trajectory, task, self.grader, self.format_weight)


async def graded(
    trajectory: Trajectory, task: Task, grader: Grader, format_weight: float = FORMAT_WEIGHT
) -> Trajectory:
    """The trajectory with its verdict and reward; a failure gets neither.

    Where the grader broke, the verdict is `unjudged`: the attempt is whole and can be judged again.
    """
    if trajectory.failure is not None:
        return trajectory
    try:
        judged = await grader.judge(task, trajectory)
    except FailureError as error:
        judged = Judged(Verdict(status="unjudged", reason=str(error), grader=grader.name))
    verdict = judged.verdict
    if verdict.status == "unjudged":
        return trajectory.model_copy(update={"verdict": verdict, "reward": None})
    points = reward(
        format_ok(trajectory),
        verdict,
        score=judged.score,
        format_weight=format_weight,
        answer_weight=1.0 - format_weight,
    )
    return trajectory.model_copy(update={"verdict": verdict, "reward": points})


def collect(
    policy: Policy,
    arena: Arena,
    jobs: Sequence[Job],
    out: Path,
    *,
    chunk: int = 128,
    keep_tokens: bool = False,
    retry_failures: bool = False,
    progress: Progress = lambda done, total: None,
    share: tuple[int, int] = (0, 1),
) -> Parts:
    """Makes every attempt of `jobs`, in chunks, into parts under `out`; goes on where it was.

    `share` (k, n) makes the chunks k, k + n, k + 2n, ... alone: others make the rest meanwhile.

    With `keep_tokens` a trainable policy's token ids go to shards beside the parts, and the
    trajectories point into them. With `retry_failures` the attempts in finished parts that failed
    on our side are made again, with the seeds they had, and those that could not be judged are
    judged again; all others stay as they are. `progress` is told attempts done and attempts in all.
    Raises BadInput where `out` holds more parts than these jobs make, or those of other jobs.
    """
    parts = Parts(out)
    done = parts.done()
    if done and max(done) * chunk >= len(jobs):
        raise BadInput(f"{out} holds attempts of another run: choose another folder")
    for number, start in enumerate(range(0, len(jobs), chunk)):
        if number % share[1] != share[0]:
            continue
        batch = jobs[start : start + chunk]
        shard = parts.shard(number) if keep_tokens and policy.trainable else None
        if number not in done:
            parts.write(number, _made(policy, arena, batch, shard))
        elif retry_failures:
            _retry(policy, arena, batch, shard, parts, number)
        progress(min(start + chunk, len(jobs)), len(jobs))
    return parts


def _made(
    policy: Policy,
    arena: Arena,
    jobs: Sequence[Job],
    shard: Path | None,
    held: Sequence[Segment] = (),
) -> list[Trajectory]:
    """The attempts' trajectories; their segments go to the shard, behind those it is to hold."""
    rolled = asyncio.run(together(policy, arena, jobs))
    segments = [segment for one in rolled for segment in one.segments]
    if shard is None or not segments:
        return [one.trajectory for one in rolled]
    refs = iter(write_shard(shard, [*held, *segments])[len(held) :])
    return [
        one.trajectory.model_copy(update={"segments": tuple(next(refs) for _ in one.segments)})
        for one in rolled
    ]


async def together(policy: Policy, arena: Arena, jobs: Sequence[Job]) -> list[Rolled]:
    """The attempts side by side, from a fresh start, in the order of the jobs.

    Never more of them than the policy has places for: each that waits for its turn would lose its
    place in an engine's cache to another, and be read again from its first token.
    """
    await policy.fresh()
    places = asyncio.Semaphore(policy.places or max(1, len(jobs)))

    async def attempt(job: Job) -> Rolled:
        async with places:
            return await arena.attempt(policy, job)

    return list(await asyncio.gather(*(attempt(job) for job in jobs)))


def _retry(
    policy: Policy, arena: Arena, jobs: Sequence[Job], shard: Path | None, parts: Parts, number: int
) -> None:
    """Makes a finished part's failed attempts again and writes the part whole.

    The shard keeps the rows it has, so that the old records too point at what is theirs: a kill
    between shard and records loses nothing.
    """
    before = list(read_jsonl(parts.path(number), Trajectory))
    made_of = [(one.task_id, one.member, one.greedy, one.policy) for one in before]
    if made_of != [(job.task.id, job.member, job.greedy, policy.name) for job in jobs]:
        raise BadInput(f"{parts.path(number)} holds attempts of another run: choose another folder")
    judged = asyncio.run(_judged(arena, jobs, before))
    again = [job for job, one in zip(jobs, before, strict=True) if one.failure is not None]
    if not again:
        if judged != before:
            parts.write(number, judged)
        return
    rows = max((ref.row + 1 for one in before for ref in one.segments), default=0)
    old = Shard(shard) if shard and rows else None
    held = [old.segment(row) for row in range(rows)] if old else []
    made = iter(_made(policy, arena, again, shard, held))
    parts.write(number, [one if one.failure is None else next(made) for one in judged])


async def _judged(
    arena: Arena, jobs: Sequence[Job], made: Sequence[Trajectory]
) -> list[Trajectory]:
    """The trajectories; those that no one could judge are judged again, side by side."""

    async def judged(one: Trajectory, task: Task) -> Trajectory:
        unjudged = one.verdict is not None and one.verdict.status == "unjudged"
        return await arena.graded(one, task) if unjudged else one

    pairs = zip(made, jobs, strict=True)
    return list(await asyncio.gather(*(judged(one, job.task) for one, job in pairs)))
