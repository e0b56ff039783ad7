"""Bootstrap intervals over tasks (Efron 1979; percentile method).

Attempts at one task are not independent, so tasks are resampled, never attempts (a cluster
bootstrap). Every score is a ratio of sums over tasks, which lets all scores of a set of tasks share
one matrix of resampling weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from webfarer.types import BadInput, seed_for
from webfarer.types.keyed import Key
from webfarer.types.report import Interval

RESAMPLES = 4000
LEVEL = 0.95
DIGITS = 6  # beyond these, the order of a sum may show
_CHUNK = 500  # resamples held at once: 2.4 MB of weights for 600 tasks

Floats = NDArray[np.float64]


def _weights(tasks: int, rows: int, rng: np.random.Generator) -> Floats:
    """How often each task was drawn, (rows, tasks); every row sums to `tasks`."""
    drawn = rng.integers(0, tasks, size=(rows, tasks)) + tasks * np.arange(rows)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=rows * tasks)
    return counts.reshape(rows, tasks).astype(np.float64)


def resample(top_NS: Floats, bottom_NS: Floats, key: Key, resamples: int = RESAMPLES) -> Floats:
    """Ratios of sums, (resamples, S), with the N tasks drawn anew each time.

    NaN where a resample holds nothing to divide by. The same key gives the same draws.
    """
    tasks = len(top_NS)
    if tasks == 0:
        raise BadInput("there are no tasks to resample: give at least one")
    rng = np.random.default_rng(seed_for("bootstrap", key))
    parts = []
    for start in range(0, resamples, _CHUNK):
        weights = _weights(tasks, min(_CHUNK, resamples - start), rng)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append((weights @ top_NS) / (weights @ bottom_NS))
    return np.concatenate(parts)


def intervals(
    top_NS: Floats, bottom_NS: Floats, key: Key, resamples: int = RESAMPLES, level: float = LEVEL
) -> list[Interval | None]:
    """The percentile interval of each of S ratios of sums over N tasks, rounded to 6 digits.

    None where the ratio has no denominator. One task, or tasks that all agree, give an interval of
    no width: the bootstrap cannot see what it has not drawn.
    """
    ratios_RS = resample(top_NS, bottom_NS, key, resamples)
    tail = (1 - level) / 2
    return [
        _between(ratios_RS[:, column], tail) if bottom_NS[:, column].any() else None
        for column in range(top_NS.shape[1])
    ]


def _between(ratios_R: Floats, tail: float) -> Interval:
    low, high = np.nanquantile(ratios_R, [tail, 1 - tail])
    return round(float(low), DIGITS), round(float(high), DIGITS)


def paired_interval(
    ours: Sequence[float],
    theirs: Sequence[float],
    key: Key,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """The interval of mean(ours - theirs), one value a task for each policy, paired by task.

    Raises BadInput where the two differ in length or are empty.
    """
    if len(ours) != len(theirs):
        raise BadInput(f"{len(ours)} tasks against {len(theirs)}: pair the same tasks")
    top_NS = (np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float))[:, None]
    (interval,) = intervals(top_NS, np.ones_like(top_NS), key, resamples, level)
    assert interval is not None
    return interval
