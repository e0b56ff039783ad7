"""Wikidata's JSON dump: one entity a line, in the form that its documentation gives.

https://doc.wikimedia.org/Wikibase/master/php/docs_topics_json.html. Of a property's statements the
preferred ones are taken, else those of normal rank, never deprecated ones. Values unknown or known
to be none are passed over. A time keeps its precision down to the year; less precise ones (decades,
centuries) cannot be said here and are left out, counted. Dates stand as written, in the calendar
they were written in.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from webfarer.graph.dumps.filters import Filters
from webfarer.graph.dumps.rdf import date_value
from webfarer.graph.packed.pack import Packer
from webfarer.graph.rows import clean
from webfarer.types import Value

_TIME = re.compile(r"([+-])(\d{4,})-(\d\d)-(\d\d)T.*")
_ENTITY = re.compile(r"[QPL][1-9][0-9]*")
_PROPERTY = re.compile(r"P[1-9][0-9]*")
_PRECISION = {9: 1, 10: 2, 11: 3}  # year, month, day: how many parts are said
_FOREIGN = "names in other languages"

Json = dict[str, Any]


class WikidataReader:
    """Tells a packer what a dump's entities say; counts in its notes what it passes over."""

    def __init__(self, packer: Packer, filters: Filters) -> None:
        self._packer, self._filters = packer, filters
        self._notes = packer.notes

    def line(self, line: str) -> None:
        """Takes one line; the brackets around the list and empty lines say nothing.

        Raises ValueError where it is not an entity: nothing of it is then told.
        """
        text = line.strip().removesuffix(",")
        if text in ("", "[", "]"):
            return
        entity = json.loads(text)
        if not isinstance(entity, dict) or not _ENTITY.fullmatch(str(entity.get("id"))):
            raise ValueError("not an entity")
        texts = list(self._texts(entity))
        self._say(entity["id"], texts, self._facts(entity))

    def _say(self, id: str, texts: list[tuple[str, ...]], facts: list[tuple[str, Any]]) -> None:
        say = self._packer
        for kind, language, text, place in texts:
            if kind == "label":
                say.label(id, language, text, int(place))
            elif kind == "alias":
                say.alias(id, language, text, int(place))
            else:
                say.description(id, language, text, int(place))
        for place, (relation, value) in enumerate(facts):
            if relation == "P31" and isinstance(value, str):
                say.type(id, value, min(place, 9999))
            elif not self._filters.wants(relation):
                self._notes["facts of properties that are not wanted"] += 1
            elif isinstance(value, str):
                say.edge(id, relation, value)
            else:
                say.literal(id, relation, value)

    def _texts(self, entity: Json) -> Iterator[tuple[str, ...]]:
        for kind, key in (("label", "labels"), ("description", "descriptions")):
            for language, rank, term in self._filters.chosen(_mapping(entity.get(key))):
                if text := _words(term):
                    yield kind, language, text, str(rank)
        for language, rank, terms in self._filters.chosen(_mapping(entity.get("aliases"))):
            for place, term in enumerate(_list(terms)):
                if text := _words(term):
                    yield "alias", language, text, str(min(place + rank * 1000, 9999))

    def _facts(self, entity: Json) -> list[tuple[str, str | Value]]:
        """Each fact's relation and its value, an entity's id or a literal."""
        if not entity["id"].startswith("Q"):
            return []
        found: list[tuple[str, str | Value]] = []
        notes: Counter[str] = Counter()
        for relation, statements in _mapping(entity.get("claims")).items():
            if not _PROPERTY.fullmatch(relation):
                raise ValueError(f"{relation!r} is no property")
            for statement in _best(_list(statements), notes):
                value = self._value(_mapping(statement.get("mainsnak")), notes)
                if value is not None:
                    found.append((relation, value))
        self._notes.update(notes)
        return found

    def _value(self, snak: Json, notes: Counter[str]) -> str | Value | None:
        if snak.get("snaktype") != "value":
            notes["values that are unknown or known to be none"] += 1
            return None
        data = _mapping(snak.get("datavalue"))
        kind, value = snak.get("datatype") or data.get("type"), data.get("value")
        if kind in ("wikibase-item", "wikibase-entityid"):
            return _item(_mapping(value))
        if kind == "time":
            return _noted(_time(_mapping(value)), notes, "times less precise than a year")
        if kind == "quantity":
            return _noted(_quantity(_mapping(value)), notes, "numbers that cannot be read")
        if kind == "string":
            return _name(value)
        if kind == "monolingualtext":
            said = _mapping(value)
            spoken = self._filters.language(str(said.get("language"))) is not None
            return _noted(_name(said.get("text")) if spoken else None, notes, _FOREIGN)
        notes[f"values that are not read: {kind}"] += 1
        return None


def _best(statements: list[Any], notes: Counter[str]) -> list[Json]:
    """The statements of the best rank; deprecated ones never."""
    rows = [_mapping(statement) for statement in statements]
    ranks = [row.get("rank", "normal") for row in rows]
    best = "preferred" if "preferred" in ranks else "normal"
    notes["statements of a lower rank than others, left out"] += len(ranks) - ranks.count(best)
    return [row for row, rank in zip(rows, ranks, strict=True) if rank == best]


def _item(value: Json) -> str | None:
    id = value.get("id") or f"Q{value.get('numeric-id')}"
    return id if isinstance(id, str) and _ENTITY.fullmatch(id) else None


def _time(value: Json) -> Value | None:
    """Wikidata's JSON counts 44 BC as -0044, ISO 8601 as -0043."""
    match = _TIME.fullmatch(str(value.get("time")))
    precision = value.get("precision")
    if match is None or precision not in list(_PRECISION):
        return None
    sign, year, month, day = match.groups()
    number = 1 - int(year) if sign == "-" else int(year)
    text = f"-{-number:04d}" if number < 0 else f"{number:04d}"
    return date_value("-".join([text, month, day][: _PRECISION[precision]]))


def _quantity(value: Json) -> Value | None:
    try:
        number = float(value.get("amount", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    unit = str(value.get("unit", "1")).rpartition("/")[2]
    if not math.isfinite(number) or not (unit == "1" or _ENTITY.fullmatch(unit)):
        return None
    return Value(kind="number", value=number, unit="" if unit == "1" else unit)


def _words(term: Any) -> str:
    """What a label, a description or an alias says. Raises ValueError where it is no text."""
    text = _mapping(term).get("value", "")
    if not isinstance(text, str):
        raise ValueError(f"{str(text)[:40]!r} is no text")
    return clean(text)


def _name(text: Any) -> Value | None:
    words = clean(text) if isinstance(text, str) else ""
    return Value(kind="name", value=words) if words else None


def _noted(value: Value | None, notes: Counter[str], reason: str) -> Value | None:
    notes[reason] += value is None
    return value


def _mapping(value: Any) -> Json:
    """PHP writes an empty mapping as an empty list. Raises ValueError on anything else."""
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{str(value)[:40]!r} is no mapping")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{str(value)[:40]!r} is no list")
    return value
