"""`RewardModel`: a trained model that scores answers, in batches, while attempts go on.

Whatever scores pairs of texts can stand behind it; `policy.classifier` makes any Hugging Face
sequence-classification head do. Scoring runs in a thread of its own, one batch at a time: what is
asked meanwhile makes the next one. The company that a text is scored in shows in a score's last
bits (padding, the batch's size), so scores are rounded to a thousandth.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from webfarer.grade.sources import Judged, no_answer, said
from webfarer.types import FailureError, Task, Trajectory, Verdict, WebfarerError

Pair = tuple[str, str]
Scores = Callable[[Sequence[Pair]], Sequence[float]]
"""(question, answer) pairs to scores from 0 to 1. Called in a thread, never twice at once."""
Reads = Literal["answer", "trajectory"]

_DIGITS = 3


@dataclass(slots=True)
class _Asked:
    pair: Pair
    score: asyncio.Future[float]


class RewardModel:
    """Scores each answer; correct is what reaches the `threshold`. `batch` pairs at most are scored
    together; `reads` is what the model sees beside the question: the answer, or the whole attempt.
    """

    def __init__(
        self,
        name: str,
        scores: Scores,
        *,
        threshold: float = 0.5,
        batch: int = 16,
        reads: Reads = "answer",
    ) -> None:
        self.name = name
        self._scores, self._threshold, self._batch, self._reads = scores, threshold, batch, reads
        self._waiting: list[_Asked] = []
        self._worker: asyncio.Task[None] | None = None

    async def judge(self, task: Task, trajectory: Trajectory) -> Judged:
        """The score and its verdict; an attempt without an answer scores 0, unseen by the model.
        Raises FailureError where the model broke or its score is none."""
        answer = said(trajectory)
        if not answer:
            return Judged(no_answer(self.name), 0.0)
        text = answer if self._reads == "answer" else transcript(trajectory)
        score = await self._scored((task.question, text))
        correct = score >= self._threshold
        return Judged(
            Verdict(
                status="correct" if correct else "wrong",
                reason=f"scored {score:g}, {'' if correct else 'not '}{self._threshold:g} or more",
                grader=self.name,
            ),
            score,
        )

    async def _scored(self, pair: Pair) -> float:
        asked = _Asked(pair, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())
        score = await asked.score
        if not (math.isfinite(score) and 0.0 <= score <= 1.0):
            raise FailureError("judge", f"{self.name} gave the score {score:g}, not one of 0 to 1")
        return round(score, _DIGITS)

    async def _work(self) -> None:
        """Scores what waits, batch by batch, until nothing does."""
        while self._waiting:
            await asyncio.sleep(0)  # who ends in the same moment comes along
            lot, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            try:
                scores = await asyncio.to_thread(self._scores, [asked.pair for asked in lot])
                self._tell(lot, scores)
            except WebfarerError as error:
                self._fail(lot, error)
            except Exception as error:  # whatever broke, the attempts must hear of it
                line = f"{type(error).__name__}: {error}".splitlines()[0]
                self._fail(lot, FailureError("judge", f"{self.name} broke: {line}"))

    def _tell(self, lot: Sequence[_Asked], scores: Sequence[float]) -> None:
        for asked, score in zip(lot, scores, strict=True):
            if not asked.score.done():
                asked.score.set_result(float(score))

    def _fail(self, lot: Sequence[_Asked], error: Exception) -> None:
        for asked in lot:
            if not asked.score.done():
                asked.score.set_exception(error)


def transcript(trajectory: Trajectory) -> str:
    """The whole attempt as text: each turn as it was written, and what came back."""
    parts: list[str] = []
    for turn in trajectory.turns:
        parts.append(turn.text)
        if turn.observation is not None:
            parts.append(turn.observation.text)
    return "\n".join(parts)
