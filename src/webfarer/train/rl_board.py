"""TensorBoard, for those who want it: the scalars of every step and the held-out scores."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from webfarer.train.rl_metrics import StepMetric
from webfarer.types import BadInput

_NO_SCALARS = ("step", "algorithm", "score", "note", "alarms", "cursor")


class Board:
    """Writes event files into a folder; opened by the first thing it is told.

    A run that goes on takes some steps again. The first step it tells of is where it went on:
    TensorBoard is told to drop what an earlier file says from there.
    """

    def __init__(self, folder: Path) -> None:
        if find_spec("tensorboard") is None:
            raise BadInput(
                "tensorboard is not installed: pip install 'webfarer[tensorboard]', or leave out "
                "--tensorboard"
            )
        self._folder = folder
        self._writer: Any = None

    def metric(self, metric: StepMetric) -> None:
        """The numbers of a step, those that it has."""
        for name, value in metric.model_dump(exclude=set(_NO_SCALARS)).items():
            if value is not None:
                self._open(metric.step).add_scalar(f"train/{name}", value, metric.step)
        self._writer.flush()

    def score(self, done: int, score: float) -> None:
        """A held-out score after so many steps."""
        self._open(done).add_scalar("held-out/score", score, done)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self, step: int) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=step)
        return self._writer
