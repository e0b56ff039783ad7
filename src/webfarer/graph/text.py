"""A literal as a person would write it: on pages, in questions and in answers."""

from __future__ import annotations

import calendar
import math
import re

from webfarer.graph.graph import KnowledgeGraph, Language, Node
from webfarer.graph.worlds.nouns_zh import has_title
from webfarer.types import Value

_DATE = re.compile(r"(-?)(\d{1,6})(?:-(\d{2}))?(?:-(\d{2}))?")
# Units as Chinese writes them, after the number without a space; others are left as they are.
_UNITS_ZH = {
    "km": "公里", "m": "米", "cm": "厘米", "mm": "毫米", "km²": "平方公里", "m²": "平方米",
    "ha": "公顷", "m³": "立方米", "km³": "立方公里", "m³/s": "立方米每秒", "km/h": "公里每小时",
    "m/s": "米每秒", "kg": "千克", "g": "克", "t": "吨", "d": "天", "h": "小时", "min": "分钟",
    "s": "秒", "°C": "摄氏度", "crowns": "克朗",
}  # fmt: skip
_TEN_THOUSAND, _HUNDRED_MILLION, _TRILLION = 10**4, 10**8, 10**12


def value_text(value: Value, language: Language = "en") -> str:
    """ "4 March 1912", "March 1912", "1912"; "1,204 km", "0.5"; a name as it is.

    In Chinese "1912年3月4日", "1912年3月", "1912年"; "1204公里". A number is written exactly:
    reading it back gives the same float. A year before 1 (ISO 8601 counts 0 as 1 BC) is written
    "44 BC", "公元前44年". A date that is not ISO 8601 is returned unchanged. Languages other than
    Chinese are written as English.
    """
    if isinstance(value.value, str):
        return date_text(value.value, language) if value.kind == "date" else value.value
    number = number_text(value.value, language)
    if language == "zh":
        unit = _UNITS_ZH.get(value.unit, value.unit)
        return f"{number} {unit}" if unit[:1].isascii() and unit[:1].isalnum() else number + unit
    return f"{number} {value.unit}".rstrip()


def node_text(graph: KnowledgeGraph, node: Node) -> str:
    """An entity's label, or a literal as `value_text` writes it, in the graph's language."""
    return graph.label(node) if isinstance(node, str) else value_text(node, graph.language)


def name_in_text(graph: KnowledgeGraph, entity: str) -> str:
    """An entity's label as it stands in running text: a work's title has book marks in Chinese."""
    label = graph.label(entity)
    if graph.language != "zh" or label.startswith("《"):
        return label
    kinds = graph.entities[entity].types
    return f"《{label}》" if has_title(graph.type_label(kind) for kind in kinds) else label


def number_text(number: float, language: Language = "en") -> str:
    """ "1,204", "-0.25", "1e+22": thousands grouped, as many digits as the float needs.

    Chinese counts in ten thousands, and a multiple of them is written so: "35万", "1.2亿". Any
    other number stays in digits, because "12.3万" is a rounded number to its reader; they are
    grouped from the fifth on ("1204", "123,456"), as Chinese encyclopedias do.
    """
    if math.isfinite(number) and number == int(number) and abs(number) < 1e16:
        return _chinese(int(number)) if language == "zh" else f"{int(number):,}"
    whole, point, fraction = repr(number).partition(".")
    if not point or "e" in fraction:
        return repr(number)
    sign, digits = whole[: whole.startswith("-")], int(whole.lstrip("-"))
    grouped = _chinese(digits, counted=False) if language == "zh" else f"{digits:,}"
    return f"{sign}{grouped}.{fraction}"


def _chinese(number: int, counted: bool = True) -> str:
    """A whole number in Chinese; `counted`: in ten thousands where it is a multiple of them."""
    size = abs(number)
    if counted and size and size < _TRILLION and size % _TEN_THOUSAND == 0:
        if size < _HUNDRED_MILLION:
            return f"{number // _TEN_THOUSAND}万"
        tenths = f"{size % _HUNDRED_MILLION // _TEN_THOUSAND:04}".rstrip("0")
        whole = f"{'-' * (number < 0)}{size // _HUNDRED_MILLION}"
        return f"{whole}.{tenths}亿" if tenths else f"{whole}亿"
    return str(number) if size < _TEN_THOUSAND else f"{number:,}"


def date_text(iso: str, language: Language = "en") -> str:
    """ "1912-03-04" as "4 March 1912", "1912年3月4日"; unchanged where it is not such a date."""
    match = _DATE.fullmatch(iso)
    if match is None:
        return iso
    sign, year, month, day = match.groups()
    if month is not None and not 1 <= int(month) <= 12:
        return iso
    number = -int(year) if sign else int(year)
    if language == "zh":
        written = f"{number}年" if number > 0 else f"公元前{1 - number}年"
        months = f"{int(month)}月" if month else ""
        return written + months + (f"{int(day)}日" if day else "")
    written = str(number) if number > 0 else f"{1 - number} BC"
    parts = [str(int(day))] if day else []
    return " ".join([*parts, calendar.month_name[int(month)], written] if month else [written])
