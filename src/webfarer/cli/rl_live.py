"""What a person sees while reinforcement learning runs."""

from __future__ import annotations

from webfarer.cli.progress import Teller, Update
from webfarer.train.rl_board import Board
from webfarer.train.rl_metrics import StepMetric, told


class Live:
    """Its progress: a line a step, each kind of alarm once, and TensorBoard where there is a
    board."""

    def __init__(self, teller: Teller, update: Update, board: Board | None = None) -> None:
        self._teller, self._update, self._board = teller, update, board
        self._score: float | None = None
        self._warned: set[str] = set()

    def scored(self, done: int, score: float | None) -> float | None:
        """Takes note of a held-out score, and gives it back."""
        self._score = score
        if score is None:
            self._teller.warn(
                f"no held-out score after {done} steps: most of its attempts failed on our side"
            )
        elif self._board:
            self._board.score(done, score)
        return score

    def __call__(self, metric: StepMetric, total: int) -> None:
        self._update(metric.step, total, told(metric, self._score))
        if self._board:
            self._board.metric(metric)
        if set(metric.alarms) - self._warned:
            self._warned |= set(metric.alarms)
            self._teller.warn(f"step {metric.step}: {metric.note}")

    def close(self) -> None:
        if self._board:
            self._board.close()
