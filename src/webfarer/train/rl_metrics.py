"""What a run of reinforcement learning says of itself: a line a step, a line a held-out score."""

from __future__ import annotations

from collections.abc import Sequence

from webfarer.train.rl_batch import Sampled
from webfarer.train.rl_update import Update
from webfarer.types import Record


class StepMetric(Record):
    """One line of metrics.jsonl.

    Shares are of this step's attempts; `solved`, `reward` and `format` are means over those that
    count, before selection and shaping. `gap` and `gap_most` are the mean and the greatest
    |trainer's - engine's| log-probability, in nats a token; `held_low` and `held_high` the shares
    of tokens that the clip held. `entropy` is the mean of -log-probability of what was sampled,
    which estimates it. Seconds are of rollouts, of their tools (the sum over attempts), of updates.
    """

    step: int
    algorithm: str
    solved: float
    reward: float
    format: float
    failures: int
    attempts: int
    groups: int
    kept: int
    copies: int
    turns: float
    tokens: int
    trained: int
    loss: float
    grad_norm: float
    lr: float
    entropy: float
    kl: float
    held_low: float
    held_high: float
    gap: float
    gap_most: float
    rollout_s: float
    tool_s: float
    update_s: float
    cursor: int
    score: float | None = None
    note: str = ""


class Score(Record):
    """One line of scores.jsonl: a held-out score after so many steps."""

    step: int
    score: float


def step_metric(
    step: int,
    algorithm: str,
    sampled: Sequence[Sampled],
    counts: Sequence[int],
    update: Update,
    *,
    seconds: tuple[float, float],
    cursor: int,
) -> StepMetric:
    """The line of a step: `seconds` of its rollouts and of its update, `cursor` after its tasks."""
    members = [member for one in sampled for member in one.group.members]
    valid = [member for one in sampled for member in one.group.valid]
    judged = [member.reward for member in valid if member.reward is not None]
    turns = [turn for member in members for turn in member.turns]

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values) if values else 0.0

    return StepMetric(
        step=step,
        algorithm=algorithm,
        solved=mean([one.parts["answer"] for one in judged]),
        reward=mean([one.total for one in judged]),
        format=mean([one.parts["format"] for one in judged]),
        failures=sum(member.failure is not None for member in members),
        attempts=len(members),
        groups=len(sampled),
        kept=sum(count > 0 for count in counts),
        copies=sum(max(0, count - 1) for count in counts),
        turns=mean([float(len(member.turns)) for member in members]),
        tokens=sum(len(segment) for one in sampled for each in one.segments for segment in each),
        tool_s=sum(turn.usage.tool_s for turn in turns),
        rollout_s=seconds[0],
        update_s=seconds[1],
        cursor=cursor,
        **update.numbers(),
    )
