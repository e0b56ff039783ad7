"""A loose bound on a value, which a question states and the value keeps."""

from __future__ import annotations

import random
from typing import NamedTuple

from webfarer.types import Value


class Bound(NamedTuple):
    """One end of a range: numbers in the unit, or ISO dates that begin and end decades."""

    least: float | str | None = None
    most: float | str | None = None
    unit: str = ""

    @property
    def first_year(self) -> int:
        """The first year of a date that is bounded below."""
        return int(str(self.least)[:4])

    @property
    def end_year(self) -> int:
        """The year that a date which is bounded above comes before."""
        return int(str(self.most)[:4]) + 1


def loose_bound(value: Value, rng: random.Random) -> Bound | None:
    """A bound that the value keeps: its first figure's round number, or its decade; None for a
    name."""
    if value.kind == "number":
        assert isinstance(value.value, float)
        step = 10.0 ** (len(str(int(value.value))) - 1)
        floor = value.value // step * step
        if rng.random() < 0.5:
            return Bound(least=floor, unit=value.unit)
        return Bound(most=floor + step, unit=value.unit)
    if value.kind == "date":
        decade = int(str(value.value)[:4]) // 10 * 10
        if rng.random() < 0.5:
            return Bound(least=f"{decade:04d}-01-01")
        return Bound(most=f"{decade + 9:04d}-12-31")
    return None
