"""Dates as people write them in English, and (by way of `chinese`) in Chinese, with the precision
they are written in.

Days come as "4 March 1912", "March 4th, 1912", "1912-03-04", "04-Mar-1912" and their like, also
within a sentence. All figures ("04/03/1912") is read where only one order makes a date; where both
do, readers differ about which it is, so it is accepted as neither.
"""

from __future__ import annotations

import calendar
import re
from typing import NamedTuple

from webfarer.grade.chinese import dates_in_figures
from webfarer.grade.normalise import clean

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_M = (
    r"(?P<m>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_D = r"(?P<d>[0-9]{1,2})(?:st|nd|rd|th)?"
_ERA = r"(?:\s*(?P<era>b\.?c\.?(?:e\.?)?|a\.?d\.?|c\.?e\.?)(?!\w))"
_Y = (
    rf"(?P<y>[0-9]{{3,4}}(?![0-9]){_ERA}?|[0-9]{{1,6}}{_ERA}"
    r"|a\.?d\.?\s*[0-9]{1,6})"
)
_Y_ANY = rf"(?P<y>[0-9]{{1,6}}){_ERA}?"
_GAP = r"(?:\s*[,-]\s*|\s+(?:of\s+)?|\s+,\s*)"
_TIME = r"(?:T[0-9:.]+(?:Z|[+-][0-9:]+)?)?"


def _form(pattern: str) -> re.Pattern[str]:
    pattern = pattern.replace(_ERA, _ERA.replace("era", "era_too"), pattern.count(_ERA) - 1)
    return re.compile(
        rf"(?<![\w$€£/.-])(?<![0-9],){pattern}(?![\w%])(?![.,/-][0-9])", re.IGNORECASE
    )


# The more specific first: what one has read, the next does not see.
_FORMS = (
    _form(rf"{_D}{_GAP}{_M}{_GAP}{_Y_ANY}"),
    _form(rf"{_M}\s*-?{_D}(?:\s*[,-]\s*|\s+){_Y_ANY}"),
    _form(rf"(?P<y>[0-9]{{4}})[-/.](?P<m>[0-9]{{1,2}})[-/.](?P<d>[0-9]{{1,2}}){_TIME}"),
    _form(r"(?P<one>[0-9]{1,2})[-/.](?P<two>[0-9]{1,2})[-/.](?P<y>[0-9]{4})"),
    _form(rf"(?P<y>[0-9]{{4}}),?\s+{_M}\s+{_D}"),
    _form(rf"{_M}{_GAP}{_Y}"),
    _form(r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})"),
    _form(rf"(?P<y>[0-9]{{4}}),?\s+{_M}"),
    _form(_Y),
)
# Within a sentence, "March 44" would be a day; alone, it is a month of the year 44.
_EARLY_MONTH = re.compile(rf"{_M}\s+(?P<y>[0-9]{{1,2}})", re.IGNORECASE)
_DASHES = str.maketrans("–—−", "---")
_AROUND = re.compile(
    r"(?:on|in|the|of|around|about|circa|c|ca|day|year|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|[\s.,:;()])+",
    re.IGNORECASE,
)


class PartialDate(NamedTuple):
    """A date to the day, month or year. Years before 1 count as in ISO 8601: 0 is 1 BC."""

    year: int
    month: int | None = None
    day: int | None = None

    @property
    def precision(self) -> str:
        return "day" if self.day else "month" if self.month else "year"

    def says(self, wanted: PartialDate) -> bool:
        """Whether this date says all that the wanted one does."""
        pairs = zip(self, wanted, strict=True)
        return all(other is None or mine == other for mine, other in pairs)

    def could_be(self, wanted: PartialDate) -> bool:
        """Whether the two agree as far as both go."""
        pairs = zip(self, wanted, strict=True)
        return all(None in (mine, other) or mine == other for mine, other in pairs)


class Dates(NamedTuple):
    """The distinct dates of a text, in order of precision; what looked like one but is not; and
    the text without either."""

    dates: tuple[PartialDate, ...]
    unreadable: tuple[str, ...]
    rest: str


def find_dates(text: str) -> Dates:
    """Every date a text names."""
    rest = dates_in_figures(clean(text).translate(_DASHES))
    found: list[PartialDate] = []
    unreadable: list[str] = []
    for form in _FORMS:
        for match in form.finditer(rest):
            date = _read(match.groupdict())
            if date is None:
                unreadable.append(match[0].strip())
            elif date not in found:
                found.append(date)
        rest = form.sub(" ", rest)
    return Dates(tuple(found), tuple(unreadable), rest)


def parse_date(text: str) -> PartialDate | None:
    """The one date that is all a text says ("on Monday, 4 March 1912"); None otherwise."""
    bare = dates_in_figures(clean(text).translate(_DASHES), whole=True).strip()
    if re.fullmatch(r"-?[0-9]{1,6}", bare):
        return PartialDate(int(bare))
    if match := _EARLY_MONTH.fullmatch(bare):
        return _read(match.groupdict())
    dates, unreadable, rest = find_dates(bare)
    alone = not rest.strip() or _AROUND.fullmatch(rest) is not None
    return dates[0] if alone and len(dates) == 1 and not unreadable else None


def _read(parts: dict[str, str | None]) -> PartialDate | None:
    """None where there is no such day, or where day and month cannot be told apart."""
    digits = re.search(r"[0-9]+", parts["y"] or "")
    era = (parts.get("era") or parts.get("era_too") or "").lower()
    year = int(digits[0]) if digits else 0
    year = 1 - year if era.startswith("b") else year
    month, day = _month(parts.get("m")), int(parts.get("d") or 0) or None
    if parts.get("one"):
        one, two = int(parts.get("one") or 0), int(parts.get("two") or 0)
        if one <= 12 and two <= 12 and one != two:
            return None
        day, month = (one, two) if two <= 12 else (two, one)
    return PartialDate(year, month, day) if _exists(year, month, day) else None


def _month(text: str | None) -> int | None:
    if not text:
        return None
    return int(text) if text.isdigit() else _MONTHS.index(text[:3].lower()) + 1


def _exists(year: int, month: int | None, day: int | None) -> bool:
    if month is None:
        return True
    if not 1 <= month <= 12:
        return False
    last = 28 + calendar.isleap(year) if month == 2 else 30 + (month in (1, 3, 5, 7, 8, 10, 12))
    return day is None or 1 <= day <= last
