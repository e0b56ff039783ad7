"""What `tests/test_rl_processes.py` trains on, and what each of its two processes runs.

Attempts are made up, from what they are for alone, so that they are the same to the last bit
however many processes make them. Run by torchrun with a model folder and a folder to write.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

from webfarer.rollout.react import Rolled
from webfarer.types import (
    Answer,
    BadInput,
    Failure,
    Origin,
    Reward,
    RlSettings,
    Segment,
    Task,
    Trajectory,
    Turn,
    Verdict,
    WebfarerError,
    random_for,
)

ORIGIN = Origin(recipe="hand", seed=0, graph="0")
TASKS = [
    Task(id=f"t{n}", question="?", answers=(Answer(text="x"),), origin=ORIGIN) for n in range(9)
]
BASE = RlSettings(
    steps=3, tasks=3, group=3, learning_rate=1e-3, warmup=0, eval_every=2, checkpoint_every=2,
    show_every=0, micro_tokens=24, mini_batches=2, clip=1e6,
)  # fmt: skip


def settings(**changes: object) -> RlSettings:
    return RlSettings.model_validate(BASE.model_dump() | changes)


# One sequence a mini-batch: group of two, one of which fails, and as many mini-batches as groups.
LONELY = {"algorithm": "ppo", "group": 2, "mini_batches": 3}
RUNS = {
    "grpo": settings(algorithm="grpo", mini_batches=1),
    "dupo": settings(algorithm="dupo", kl=0.1),
    "ppo": settings(**LONELY),
    "sharded": settings(algorithm="dupo", kl=0.1, shard=True, checkpointing=True),
    "sharded ppo": settings(**LONELY, shard=True),
    "sharded lora": settings(algorithm="grpo", lora_rank=2, kl=0.1, shard=True, micro_tokens=9),
}


class Killed(BaseException):
    """As a kill would: nothing catches it."""


class MadeUp:
    """Rollouts and held-out scores without an engine; `dies` is the step it is killed in."""

    longest = 64

    def __init__(self, lonely: bool = False, dies: int = -1, shares=None, breaks=None) -> None:
        self.lonely, self.dies, self.breaks = lonely, dies, breaks
        self.share = shares or (lambda items, work: work(items))
        self.version = 0
        self.made: list[tuple[int, str, int]] = []

    def take(self, model, version) -> None:
        self.version, self.weights = version, dict(model.state_dict())

    def make(self, jobs, step):
        if step == self.dies:
            raise Killed
        if self.breaks:
            raise self.breaks
        self.made += [(step, job.task.id, job.member) for job in jobs]
        return [self._one(job.task.id, job.member, step) for job in jobs]

    def _one(self, task: str, member: int, step: int) -> Rolled:
        random = random_for("made up", step, task, member)
        segment = Segment("tok")
        segment.given([5, 6, random.randrange(7, 60)])
        size = random.choice([1, 2, 12])  # shares of very different token counts
        ids = [random.randrange(7, 60) for _ in range(size)]
        segment.chosen(ids, [random.uniform(-8, -6) for _ in ids], self.version)
        correct, failed = member % 2 == random.randrange(2), self.lonely and member == 0
        return rolled(self.version, task, member, correct, segment, failed)

    def score(self, done: int) -> float:
        """A sum over tasks, each scored by one process: the last step is not the best."""
        return sum(self.share(TASKS, lambda tasks: [float(done == 2) for _ in tasks])) / len(TASKS)


def rolled(
    version: int, task: str, member: int, correct: bool, segment: Segment, failed: bool
) -> Rolled:
    verdict = Verdict(status="correct" if correct else "wrong", reason="hand", grader="hand")
    reward = Reward(
        parts={"format": 1.0, "answer": float(correct)}, weights={"format": 0.1, "answer": 0.9}
    )
    trajectory = Trajectory(
        task_id=task, member=member, policy="made up", policy_version=version, trainable=True,
        system="", question="", turns=(Turn(text="x", policy_version=version),), answer="x",
        stop="failure" if failed else "answer",
        failure=Failure(kind="engine", message="it fell over") if failed else None,
        verdict=None if failed else verdict, reward=None if failed else reward,
    )  # fmt: skip
    return Rolled(trajectory, (segment,))


def train(name: str, model: Path, out: Path, ranks, dies: int = -1, breaks=None) -> MadeUp:
    from webfarer.train.rl import reinforce

    made = MadeUp("ppo" in name, dies, ranks.share, breaks)
    reinforce(
        RUNS[name], model, made, TASKS, out / name, seed=3, evaluate=made.score, ranks=ranks,
        device="cpu",
    )  # fmt: skip
    return made


def killed(name: str, model: Path, out: Path, ranks) -> None:
    """Dies in the third step, a checkpoint after the second being kept."""
    with suppress(Killed):
        train(name, model, out, ranks, dies=2)


def complaint(name: str, model: Path, out: Path, ranks, error: Exception | None) -> str:
    try:
        train(name, model, out, ranks, breaks=error)
    except WebfarerError as found:
        return f"{type(found).__name__}: {found}"
    return ""


def main(model: Path, out: Path) -> None:
    import torch.distributed as dist

    from webfarer.train.processes import Ranks, leave

    dist.init_process_group("gloo")
    ranks = Ranks(dist.get_rank(), dist.get_world_size())
    made = {name: train(name, model, out, ranks).made for name in RUNS}
    for name in ("ppo", "sharded ppo"):
        killed(name, model, out / "again", ranks)
        train(name, model, out / "again", ranks)
        killed(name, model, out / "alone", ranks)  # goes on in one process
    error = BadInput("no such world") if ranks.rank == 1 else None
    broken: Exception | None = ZeroDivisionError("oh") if ranks.rank == 0 else None
    said = [complaint("grpo", model, out / "bad", ranks, error)]
    if ranks.rank == 1:
        said.append(complaint("grpo", model, out / "worse", ranks, broken))
    else:
        try:
            train("grpo", model, out / "worse", ranks, breaks=broken)
        except ZeroDivisionError as own:
            said.append(repr(own))
    found = {"made": made, "said": said}
    (out / f"process-{ranks.rank}.json").write_text(json.dumps(found))
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
