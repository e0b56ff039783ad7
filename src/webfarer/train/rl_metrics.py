"""What a run of reinforcement learning says of itself: a line a step, a line a held-out score."""

from __future__ import annotations

from collections.abc import Sequence

from webfarer.train.rl_batch import Sampled
from webfarer.train.rl_update import Update
from webfarer.types import Record, RlSettings, Trajectory

_LIMITED, _FAILED, _FLAT = 0.5, 0.25, 3  # shares of attempts; steps in a row


class StepMetric(Record):
    """One line of metrics.jsonl.

    Shares are of this step's attempts; `solved`, `reward` and `format` are means over those that
    count, before selection and shaping. `attempts` and `tokens` are of the groups that were looked
    at; `made` and `made_tokens` also count what dynamic sampling made beyond the last group that it
    accepted: they are what the step cost. `failures` are attempts that broke on our side, in the
    making or in judging; `spread` are groups with correct and with other members. `limited` is the
    share that a limit ended. `gap` and `gap_most` are the mean and the greatest |trainer's -
    engine's| log-probability, in nats a token (of a step without an update, on some of its
    attempts; None where every one failed); `held_low` and `held_high` the shares of tokens that the
    clip held. `entropy` is the mean of -log-probability of what was sampled, which estimates
    it. Seconds are of rollouts, of their tools (the sum over attempts), of updates. `alarms` are
    kinds of `Watch`: `note` has its words.
    """

    step: int
    algorithm: str
    solved: float
    reward: float
    format: float
    failures: int
    limited: float
    attempts: int
    made: int
    groups: int
    spread: int = 0
    kept: int
    copies: int
    turns: float
    tokens: int
    made_tokens: int
    trained: int
    loss: float
    grad_norm: float
    lr: float
    entropy: float | None
    kl: float
    held_low: float
    held_high: float
    gap: float | None
    gap_most: float | None
    rollout_s: float
    tool_s: float
    update_s: float
    cursor: int
    score: float | None = None
    note: str = ""
    alarms: tuple[str, ...] = ()


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
    spare: Sequence[Sampled] = (),
) -> StepMetric:
    """The line of a step: `seconds` of its rollouts and of its update, `cursor` after its tasks,
    `spare` the groups that were made and not needed."""
    members = [member for one in sampled for member in one.group.members]
    valid = [member for one in sampled for member in one.group.valid]
    judged = [member.reward for member in valid if member.reward is not None]
    turns = [turn for member in members for turn in member.turns]

    right = [one.verdict is not None and one.verdict.status == "correct" for one in valid]

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values) if values else 0.0

    return StepMetric(
        step=step,
        algorithm=algorithm,
        solved=mean(right),
        reward=mean([one.total for one in judged]),
        format=mean([one.parts["format"] for one in judged]),
        failures=sum(broken(member) is not None for member in members),
        limited=mean([float(one.stop in ("turn_limit", "token_limit")) for one in members]),
        attempts=len(members),
        made=len(members) + sum(len(one.group.members) for one in spare),
        groups=len(sampled),
        spread=sum(one.outcome.spread > 0 for one in sampled),
        kept=sum(count > 0 for count in counts),
        copies=sum(max(0, count - 1) for count in counts),
        turns=mean([float(len(member.turns)) for member in members]),
        tokens=sum(one.tokens for one in sampled),
        made_tokens=sum(one.tokens for one in (*sampled, *spare)),
        tool_s=sum(turn.usage.tool_s for turn in turns),
        rollout_s=seconds[0],
        update_s=seconds[1],
        cursor=cursor,
        **update.numbers(),
    )


def broken(member: Trajectory) -> str | None:
    """What of ours broke in making or in judging the attempt; None where nothing did."""
    if member.failure is not None:
        return member.failure.message
    unjudged = member.verdict is not None and member.verdict.status == "unjudged"
    return member.verdict.reason if member.verdict and unjudged else None


class Watch:
    """Looks at every step for what must not be missed: drift, collapse, steps that teach nothing.

    Kinds of alarm: `gap`, `entropy`, `limits`, `flat` (no group with a spread for some steps) and
    `failures`. It remembers from step to step: a run that goes on shows it the lines there are.
    """

    def __init__(self, settings: RlSettings) -> None:
        self._settings = settings
        self._first: float | None = None
        self._flat = 0

    def look(self, metric: StepMetric) -> StepMetric:
        """The line with the kinds of its alarms, and in its note what they say."""
        self._flat = 0 if metric.spread else self._flat + 1
        if self._first is None:
            self._first = metric.entropy
        found = self._alarms(metric)
        note = "; ".join(part for part in (metric.note, *found.values()) if part)
        return metric.model_copy(update={"alarms": tuple(found), "note": note})

    def _alarms(self, metric: StepMetric) -> dict[str, str]:
        found: dict[str, str] = {}
        if metric.gap is not None and metric.gap > self._settings.gap_alarm:
            found["gap"] = (
                f"the engine's log-probabilities are {metric.gap:.3f} nats a token from the "
                "trainer's: use float32 for rollout.dtype"
            )
        first, entropy = self._first or 0.0, metric.entropy
        if entropy is not None and entropy < self._settings.entropy_alarm * first:
            found["entropy"] = (
                f"entropy {entropy:.2g} nats, {first:.2g} at the first step: attempts are "
                "all but the same; lower rl.learning_rate or raise rl.kl"
            )
        if metric.limited > _LIMITED:
            found["limits"] = (
                f"{metric.limited:.0%} of attempts hit a limit: raise rollout.max_turns, "
                "turn_tokens or context"
            )
        if self._flat >= _FLAT:
            found["flat"] = (
                f"no group with a spread for {self._flat} steps: give tasks that are sometimes "
                "solved"
            )
        if metric.failures > _FAILED * metric.attempts:
            found["failures"] = (
                f"{metric.failures} of {metric.attempts} attempts failed on our side"
            )
        return found


def told(metric: StepMetric, score: float | None) -> str:
    """What a person needs to know while it runs, in under 60 characters; `score` is the last."""
    held_out = "" if score is None else f" held-out {score:.0%}"
    gap = "–" if metric.gap is None else f"{metric.gap:.0e}"
    entropy = "–" if metric.entropy is None else f"{metric.entropy:.2g}"
    return (
        f"solved {metric.solved:.0%}{held_out} kept {metric.kept}/{metric.groups} "
        f"entropy {entropy} gap {gap}"
    )
