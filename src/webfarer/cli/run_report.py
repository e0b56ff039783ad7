"""What a run's report is made of, out of what its stages wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from webfarer.types import Task, Trajectory
from webfarer.types.report import FunnelStage, LearningPoint, TrainingPoint

_SAMPLES_SHOWN = 6


def funnel_stages(counts: Mapping[str, Any], too_long: int, given: int) -> list[FunnelStage]:
    """The funnel's stages, and a last one: what was too long for a row of fine-tuning."""
    stages, entered = [], counts["entered"]
    for name, left in counts["after"].items():
        dropped = counts["reasons"].get(name, {})
        stages.append(FunnelStage(stage=name, entered=entered, kept=left, dropped=dropped))
        entered = left
    dropped = {"longer than sft.length": too_long} if too_long else {}
    last = FunnelStage(stage="length", entered=given, kept=given - too_long, dropped=dropped)
    return [*stages, last]


def training(path: Path) -> list[TrainingPoint]:
    rows = (json.loads(line) for line in path.read_text().splitlines())
    return [
        TrainingPoint(step=r["step"], loss=r["loss"], lr=r["lr"], valid_loss=r["valid_loss"])
        for r in rows
    ]


def samples(
    attempts: Mapping[str, Sequence[Trajectory]], tasks: Mapping[str, Task]
) -> list[tuple[Task, Trajectory]]:
    """Greedy attempts to read: of each policy, some that were right and some that were wrong."""
    shown: list[tuple[Task, Trajectory]] = []
    for trajectories in attempts.values():
        for wanted in ("correct", "wrong"):
            fits = [t for t in trajectories if t.greedy and t.verdict
                    and t.verdict.status == wanted]  # fmt: skip
            step = max(1, len(fits) // _SAMPLES_SHOWN)
            shown += [(tasks[t.task_id], t) for t in fits[::step][:_SAMPLES_SHOWN]]
    return shown


def learning(folder: Path) -> list[LearningPoint]:
    """The learning curve of a reinforcement-learning stage; none where there is no such stage."""
    if not (folder / "metrics.jsonl").exists():
        return []
    scores = {line["step"]: line["score"] for line in _lines(folder / "scores.jsonl")}
    first = [LearningPoint(step=0, held_out=scores[0])] if 0 in scores else []
    return first + [
        LearningPoint(
            step=line["step"],
            solved=line["solved"],
            entropy=line["entropy"],
            held_out=scores.get(line["step"]),
        )
        for line in _lines(folder / "metrics.jsonl")
    ]


def as_many_steps(sft: Path, rl: Path) -> int:
    """How many steps of fine-tuning take the seconds that those of reinforcement learning took.

    Both count what their steps say, which is there however often a stage was killed."""
    fine_tuned = [line["seconds"] for line in _lines(sft / "metrics.jsonl")]
    spent = sum(line["rollout_s"] + line["update_s"] for line in _lines(rl / "metrics.jsonl"))
    return max(1, round(spent * len(fine_tuned) / sum(fine_tuned)))


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def change(
    attempts: Mapping[str, Sequence[Trajectory]], tasks: Mapping[str, Task]
) -> list[tuple[Task, Trajectory]]:
    """One task's greedy attempts before and after reinforcement learning, wrong and then correct:
    of all such tasks, the one in the middle by turns taken. Empty where there is none."""
    before, after = (
        {one.task_id: one for one in attempts.get(name, ()) if one.greedy and one.verdict}
        for name in ("sft", "rl")
    )
    turned = [
        (one, after[task])
        for task, one in before.items()
        if task in after and (_verdict(one), _verdict(after[task])) == ("wrong", "correct")
    ]
    if not turned:
        return []
    turned.sort(key=lambda both: (len(both[1].turns), both[1].task_id))
    return [(tasks[one.task_id], one) for one in turned[len(turned) // 2]]


def _verdict(trajectory: Trajectory) -> str | None:
    return trajectory.verdict and trajectory.verdict.status
