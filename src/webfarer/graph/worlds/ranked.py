"""Drawing by rank: of the entities of one type, the n-th with a weight of 1 / n (Zipf).

The result is that of `random.choices` over the entities that are kept, float for float: NumPy's
running sum adds in order, and what is left out adds nothing to it. One draw among 24,000 takes tens
of microseconds, where lists take milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Days = npt.NDArray[np.int32]


class Ranked:
    """The entities of one type, by rank."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = ids
        self._weights = 1.0 / np.arange(1, len(ids) + 1)
        self._sums = np.cumsum(self._weights)

    def pick(self, chance: float, among: Mask | None = None) -> str:
        """The entity at `chance`, in [0, 1), of all the weight; of those in the mask where given.

        Raises IndexError where the mask keeps none.
        """
        sums = self._sums if among is None else np.cumsum(np.where(among, self._weights, 0.0))
        place = int(np.searchsorted(sums, chance * sums[-1], side="right"))
        if place == len(sums):  # rounded up to the whole weight
            place = int(np.flatnonzero(among)[-1]) if among is not None else place - 1
        return self.ids[place]


def days(dates: Iterable[date]) -> Days:
    """Dates as numbers of days, which compare as they do."""
    return np.fromiter((day.toordinal() for day in dates), np.int32)
