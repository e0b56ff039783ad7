"""Many attempts at many tasks, in chunks that are written whole.

A chunk's attempts run side by side and are graded; a chunk is one part on disk, written aside and
renamed, so a run that is killed goes on at the first chunk that is missing, and gives what it
would have given: nothing inside a chunk depends on another chunk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from webfarer.grade.reward import format_ok, reward
from webfarer.policy.base import Attempt, Policy
from webfarer.rollout.react import Rolled, roll
from webfarer.store.parts import Parts
from webfarer.store.shards import write_shard
from webfarer.tools.toolbox import Toolbox
from webfarer.types import BadInput, FailureError, Task, Trajectory, Verdict, seed_for

Progress = Callable[[int, int], None]


class Grader(Protocol):
    """Judges an answer; raises `FailureError` where it broke, and never guesses."""

    @property
    def name(self) -> str: ...

    def grade(self, task: Task, answer: str | None) -> Verdict: ...


@dataclass(frozen=True)
class Job:
    """One attempt to make: the n-th at a task, or the one at temperature 0."""

    task: Task
    member: int = 0
    greedy: bool = False


@dataclass(frozen=True)
class Arena:
    """Where attempts take place: the tools over each world's web, the grader, the prompt.

    `count` gives a text's tokens; `seed` keys every attempt together with its task and member.
    """

    toolboxes: Mapping[str, Toolbox]
    grader: Grader
    system: str
    max_turns: int
    count: Callable[[str], int]
    seed: int = 0

    async def attempt(self, policy: Policy, job: Job) -> Rolled:
        """One attempt, graded. Raises BadInput where the task's world is not here."""
        toolbox = self.toolboxes.get(job.task.origin.world)
        if toolbox is None:
            raise BadInput(
                f"task {job.task.id} is about the world {job.task.origin.world!r}, which is not "
                f"here; the worlds are: {', '.join(self.toolboxes)}"
            )
        seed = seed_for(self.seed, job.task.id, job.member, int(job.greedy))
        attempt = Attempt(job.task, self.system, job.member, job.greedy, seed)
        rolled = await roll(policy, toolbox, attempt, max_turns=self.max_turns, count=self.count)
        return replace(rolled, trajectory=graded(rolled.trajectory, job.task, self.grader))


def graded(trajectory: Trajectory, task: Task, grader: Grader) -> Trajectory:
    """The trajectory with its verdict and reward; a failure gets neither.

    Where the grader broke, the verdict is `unjudged`: the attempt is whole and can be judged again.
    """
    if trajectory.failure is not None:
        return trajectory
    try:
        verdict = grader.grade(task, trajectory.answer)
    except FailureError as error:
        verdict = Verdict(status="unjudged", reason=str(error), grader=grader.name)
    if verdict.status == "unjudged":
        return trajectory.model_copy(update={"verdict": verdict})
    points = reward(format_ok(trajectory), verdict)
    return trajectory.model_copy(update={"verdict": verdict, "reward": points})


def collect(
    policy: Policy,
    arena: Arena,
    jobs: Sequence[Job],
    out: Path,
    *,
    chunk: int = 128,
    keep_tokens: bool = False,
    progress: Progress = lambda done, total: None,
) -> Parts:
    """Makes every attempt of `jobs`, in chunks, into parts under `out`; goes on where it was.

    With `keep_tokens` a trainable policy's token ids go to shards beside the parts, and the
    trajectories point into them. `progress` is told attempts done and attempts in all. Raises
    BadInput where `out` holds more parts than these jobs make: they are of other jobs.
    """
    parts = Parts(out)
    done = parts.done()
    if done and max(done) * chunk >= len(jobs):
        raise BadInput(f"{out} holds attempts of another run: choose another folder")
    for number, start in enumerate(range(0, len(jobs), chunk)):
        batch = jobs[start : start + chunk]
        if number not in done:
            rolled = asyncio.run(_together(policy, arena, batch))
            if keep_tokens and policy.trainable:
                rolled = _with_tokens(rolled, out, number)
            parts.write(number, [one.trajectory for one in rolled])
        progress(min(start + chunk, len(jobs)), len(jobs))
    return parts


async def _together(policy: Policy, arena: Arena, jobs: Sequence[Job]) -> list[Rolled]:
    return list(await asyncio.gather(*(arena.attempt(policy, job) for job in jobs)))


def _with_tokens(rolled: Sequence[Rolled], out: Path, number: int) -> list[Rolled]:
    """Writes the segments to one shard and points the trajectories at them."""
    segments = [segment for one in rolled for segment in one.segments]
    if not segments:
        return list(rolled)
    refs = iter(write_shard(Parts(out).shard(number), segments))
    pointed = []
    for one in rolled:
        mine = tuple(next(refs) for _ in one.segments)
        trajectory = one.trajectory.model_copy(update={"segments": mine})
        pointed.append(replace(one, trajectory=trajectory))
    return pointed
