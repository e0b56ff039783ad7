"""`Grader`: where verdicts and rewards come from: rules, a model asked to judge, a reward model.

One seam for all of them. Judging is awaited, so that it may be slow: while one attempt is judged
the others go on. A source that broke raises `FailureError`; it never guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from webfarer.types import FailureError, Task, Trajectory, Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict and, from a source that scores, the score: what the answer earns, 0 to 1.

    Groups are selected by verdicts; the score is the reward's part "answer", in place of the
    verdict's 0 or 1. Raises FailureError for a score that is no such number.
    """

    verdict: Verdict
    score: float | None = None

    def __post_init__(self) -> None:
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            who = self.verdict.grader
            raise FailureError("judge", f"{who} gave the score {self.score:g}, not one of 0 to 1")


class Grader(Protocol):
    """Judges an attempt's answer; raises `FailureError` where it broke, and never guesses."""

    @property
    def name(self) -> str:
        """Its name and version: verdicts under another name are other verdicts."""
        ...

    async def judge(self, task: Task, trajectory: Trajectory) -> Judged: ...


@dataclass(frozen=True, slots=True)
class RuleFirst:
    """Correct where strict rules accept the answer; the other source is asked about the rest."""

    rules: Grader
    other: Grader

    @property
    def name(self) -> str:
        return f"{self.rules.name}, else {self.other.name}"

    async def judge(self, task: Task, trajectory: Trajectory) -> Judged:
        judged = await self.rules.judge(task, trajectory)
        if judged.verdict.status == "correct":
            return judged
        return await self.other.judge(task, trajectory)


def said(trajectory: Trajectory) -> str:
    """The answer that was given; "" where there was none, or a blank one: no source is asked."""
    return (trajectory.answer or "").strip()


def no_answer(grader: str) -> Verdict:
    return Verdict(status="wrong", reason="no answer was given", grader=grader)
