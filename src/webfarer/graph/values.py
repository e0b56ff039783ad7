"""The order of literals: dates of mixed precision, numbers with units.

A date covers an interval of days and a number the interval of itself, so that ranges and extremes
claim only what is certain whatever the precision.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

from webfarer.graph.graph import Node
from webfarer.types import ArgMax, BadInput, Range, Value

Place = tuple[float, ...]  # (year, month, day), or (number,)

_DATE = re.compile(r"(-?[0-9]{4})(?:-(0[1-9]|1[0-2])(?:-([0-2][0-9]|3[01]))?)?")
_Thing = TypeVar("_Thing")


def interval(date: str) -> tuple[Place, Place]:
    """The first and last day that a date of year, month or day precision covers.

    Days are (year, month, day) of the proleptic Gregorian calendar, year 0 being 1 BC. Raises
    BadInput on text that is not such a date.
    """
    found = _interval(date)
    if found is None:
        raise BadInput(f"{date!r} is not a date; write YYYY, YYYY-MM or YYYY-MM-DD")
    return found


@lru_cache(maxsize=1 << 16)
def _interval(date: str) -> tuple[Place, Place] | None:
    match = _DATE.fullmatch(date)
    if match is None:
        return None
    year, month, day = (int(part) if part else 0 for part in match.groups())
    last = _days(year, month or 12)
    if match[3] and not 1 <= day <= last:
        return None
    return (year, month or 1, day or 1), (year, month or 12, day or last)


def _days(year: int, month: int) -> int:
    if month == 2:
        return 29 if calendar.isleap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def within(value: Value, clause: Range) -> bool:
    """Whether all that the value covers lies from the first of `min` to the last of `max`."""
    if value.kind == "name":
        return False
    for bound in (clause.min, clause.max):
        if bound is not None and isinstance(bound, str) != (value.kind == "date"):
            return False
    from_min = clause.min is None or _low(value.value) >= _low(clause.min)
    return from_min and (clause.max is None or _high(value.value) <= _high(clause.max))


def best_of(things: list[_Thing], nodes: Sequence[Node | None], best: ArgMax) -> list[_Thing]:
    """The things whose value (one for each thing, in `nodes`) no other's certainly beats.

    Raises BadInput where the values have no common order: names, entities, two units, two kinds.
    """
    values = [node for node in nodes if isinstance(node, Value)]
    orders = {(value.kind, value.unit) for value in values}
    if len(values) < len(nodes) or len(orders) > 1 or any(kind == "name" for kind, _ in orders):
        raise BadInput(
            f"query: the values of {best.var!r} have no common order; "
            "argmax needs dates only, or numbers of one unit"
        )
    if not values:
        return []
    pairs = list(zip(things, values, strict=True))
    if best.least:
        bar = min(_high(value.value) for value in values)
        return [thing for thing, value in pairs if _low(value.value) <= bar]
    bar = max(_low(value.value) for value in values)
    return [thing for thing, value in pairs if _high(value.value) >= bar]


def _low(value: float | str) -> Place:
    return interval(value)[0] if isinstance(value, str) else (value,)


def _high(value: float | str) -> Place:
    return interval(value)[1] if isinstance(value, str) else (value,)
