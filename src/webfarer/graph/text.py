"""A literal as a person would write it: on pages, in questions and in answers."""

import calendar
import math
import re

from webfarer.graph.graph import KnowledgeGraph, Node
from webfarer.types import Value

_DATE = re.compile(r"(-?)(\d{1,6})(?:-(\d{2}))?(?:-(\d{2}))?")


def value_text(value: Value, language: str = "en") -> str:
    """ "4 March 1912", "March 1912", "1912"; "1,204 km", "0.5"; a name as it is.

    A number is written exactly: reading it back gives the same float. A year before 1 (ISO 8601
    counts 0 as 1 BC) is written "44 BC". A date that is not ISO 8601 is returned unchanged.
    English is the only language so far; others are written as English.
    """
    if isinstance(value.value, str):
        return date_text(value.value) if value.kind == "date" else value.value
    return f"{number_text(value.value)} {value.unit}".rstrip()


def node_text(graph: KnowledgeGraph, node: Node) -> str:
    """An entity's label, or a literal as `value_text` writes it, in the graph's language."""
    return graph.label(node) if isinstance(node, str) else value_text(node, graph.language)


def number_text(number: float) -> str:
    """ "1,204", "-0.25", "1e+22": thousands grouped, as many digits as the float needs."""
    if math.isfinite(number) and number == int(number) and abs(number) < 1e16:
        return f"{int(number):,}"
    whole, point, fraction = repr(number).partition(".")
    if not point or "e" in fraction:
        return repr(number)
    sign, digits = whole[: whole.startswith("-")], whole.lstrip("-")
    return f"{sign}{int(digits):,}.{fraction}"


def date_text(iso: str) -> str:
    """ "1912-03-04" as "4 March 1912"; unchanged where it is not such a date."""
    match = _DATE.fullmatch(iso)
    if match is None:
        return iso
    sign, year, month, day = match.groups()
    if month is not None and not 1 <= int(month) <= 12:
        return iso
    number = -int(year) if sign else int(year)
    written = str(number) if number > 0 else f"{1 - number} BC"
    parts = [str(int(day))] if day else []
    return " ".join([*parts, calendar.month_name[int(month)], written] if month else [written])
