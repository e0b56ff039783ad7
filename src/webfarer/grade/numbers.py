"""Numbers and quantities as people write them in English, and (by way of `chinese`) in Chinese.

"1,204", "1 204", "1.2 million", "1.2e6", "1.2 × 10⁶", "twenty-six"; "1,204 km", "$5", "55 percent",
"2 h 30 min". A noun that is no unit of measure ("12 films") is left out of account.
"""

from __future__ import annotations

import re
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

from webfarer.grade.chinese import extra_words, in_figures
from webfarer.grade.normalise import clean
from webfarer.grade.units import Unit, unit_named, unit_pattern

_SCALES = {
    "hundred": 1e2, "thousand": 1e3, "million": 1e6, "mn": 1e6, "mln": 1e6,
    "billion": 1e9, "bn": 1e9, "trillion": 1e12, "trn": 1e12,
}  # fmt: skip
_NUMBER = re.compile(
    r"(?:(?<![\w.,)])(?P<sign>[-+])\s?)?(?P<money>us\$|[$€£¥₹])?\s?(?<![\w.])"
    r"(?P<digits>[0-9]{1,3}(?:[, '][0-9]{3})+(?![0-9])|[0-9]+)(?P<decimals>\.[0-9]+)?"
    r"(?:\s*[x×*·]\s*10\s*\^?\s*\{?(?P<power>[-+]?[0-9]{1,3})\}?|e(?P<e>[-+]?[0-9]{1,3})\b)?"
    r"(?![0-9])(?!\.[0-9])(?:[\s-]*(?P<scale>hundred|thousand|million|mn|mln|billion|bn|trillion|trn)\b)?",
    re.IGNORECASE,
)
_MINUS = str.maketrans("−–—’", "---'")
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_BETWEEN = re.compile(r"[\s,]*(?:and\s+)?")
# What may stand around a quantity in a text that says nothing else.
_AROUND = re.compile(r"(?:about|around|approximately|circa|some|[\s.,;:()~≈*])*", re.IGNORECASE)


class Quantity(NamedTuple):
    """A number, its unit (None: bare, or a noun), and how finely it is written.

    `step` is one in the last place written: 1 for "12", 0.1 for "0.5", 1e5 for "1.2 million".
    `counted` is True for a bare whole number written in full.
    """

    value: float
    unit: Unit | None = None
    step: float = 1.0
    counted: bool = True

    @property
    def base(self) -> float:
        """The value in its dimension's base unit."""
        unit = self.unit
        return self.value * unit.factor + unit.offset if unit else self.value


class _Found(NamedTuple):
    quantity: Quantity
    start: int
    end: int


def find_quantities(text: str) -> list[Quantity]:
    """Every quantity a text names, in order; "5 ft 11 inches" is one. Words such as "twelve" are
    read only in a text without figures, where they are not likely to mean something else."""
    return [found.quantity for found in _found(_prepared(text))]


def parse_quantity(text: str) -> Quantity | None:
    """The quantity that a text begins with, if a noun or unit is all that follows; else None."""
    text = _prepared(text)
    found = _found(text)
    if len(found) != 1 or not _AROUND.fullmatch(text[: found[0].start]):
        return None
    rest = text[found[0].end :]
    return found[0].quantity if len(rest.split()) <= 3 and extra_words(rest) <= 3 else None


def same_quantity(answer: Quantity, gold: Quantity) -> bool:
    """Whether an answer gives the gold quantity.

    - Bare counts below 10,000: exactly. Everything else: within half of the gold's last written
      place, or 0.05% where that is more.
    - A unit of the same dimension that is another one: within 1% (temperatures: 0.6 K), for
      conversions are rounded.
    - A unit of another dimension: no. No unit, on either side: as if it were the same.
    """
    if answer.unit and gold.unit:
        if answer.unit.dimension != gold.unit.dimension:
            return False
        if answer.unit != gold.unit:
            slack = 0.6 if gold.unit.offset else 0.01 * abs(gold.base)
            return abs(answer.base - gold.base) <= slack
    size = abs(gold.value)
    slack = 0.0 if gold.counted else gold.step / 2
    if not gold.counted or size >= 10_000:
        slack = max(slack, 0.0005 * size)
    return abs(answer.value - gold.value) <= slack + 1e-9 * size


def _prepared(text: str) -> str:
    text = in_figures(clean(text).translate(_MINUS))
    return text if re.search(r"[0-9]", text) else _figures(text)


def _found(text: str) -> list[_Found]:
    found: list[_Found] = []
    for match in _NUMBER.finditer(text):
        value, step = _value(match)
        if not isfinite(value):
            continue
        unit, end = _unit(text, match)
        counted = unit is None and match["decimals"] is None and step == 1.0
        found.append(_Found(Quantity(value, unit, step, counted), match.start(), end))
    return _merged(found, text)


def _value(match: re.Match[str]) -> tuple[float, float]:
    scale = _SCALES[match["scale"].lower()] if match["scale"] else 1.0
    power = match["power"] or match["e"]
    scale *= 10.0 ** int(power) if power else 1.0
    decimals = match["decimals"] or ""
    whole = re.sub(r"[, ']", "", match["digits"])
    sign = -1.0 if match["sign"] == "-" else 1.0
    step = scale * 10.0 ** -min(len(decimals) - 1, 300) if decimals else scale
    return sign * float(whole + decimals) * scale, step


def _unit(text: str, match: re.Match[str]) -> tuple[Unit | None, int]:
    if match["money"]:
        return unit_named(match["money"]), match.end()
    after = unit_pattern().match(text, match.end())
    return (unit_named(after[1]), after.end()) if after else (None, match.end())


def _merged(found: list[_Found], text: str) -> list[_Found]:
    """Joins a quantity with a finer one of its dimension right after it: "2 h 30 min"."""
    merged = found[:1]
    for before, this in pairwise(found):
        big, small = merged[-1].quantity.unit, this.quantity.unit
        joined_on = _BETWEEN.fullmatch(text[before.end : this.start])
        if joined_on and big and small and _finer(small, big):
            value = merged[-1].quantity.value + this.quantity.base / big.factor
            step = this.quantity.step * small.factor / big.factor
            joined = Quantity(value, big, step, counted=False)
            merged[-1] = _Found(joined, merged[-1].start, this.end)
        else:
            merged.append(this)
    return merged


def _finer(small: Unit, big: Unit) -> bool:
    return small.dimension == big.dimension and small.factor < big.factor


def _figures(text: str) -> str:
    """Numbers in words as figures: "twenty-six films" is "26 films"."""
    small = {word: place for place, word in enumerate(_ONES.split())}
    small |= {word: 20 + 10 * place for place, word in enumerate(_TENS.split())}
    word = "|".join(sorted([*small, *_SCALES], key=len, reverse=True))
    run = re.compile(rf"\b(?:{word})(?:[\s-]+(?:and\s+)?(?:{word}))*\b", re.IGNORECASE)
    return run.sub(lambda match: _figure(match[0], small), text)


def _figure(run: str, small: dict[str, int]) -> str:
    total = part = 0
    for word in re.findall(r"[a-z]+", run.lower()):
        if word in small:
            part += small[word]
        elif word == "hundred":
            part = (part or 1) * 100
        elif word in _SCALES:
            total += (part or 1) * int(_SCALES[word])
            part = 0
    return str(total + part)
