"""The records of a graph as rows of JSON, and back.

`entity_row(entity_of(row)) == row` for every row that `entity_row` gives for a clean entity: what
cleaning would change on the way back is found when a graph is saved, never after.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

from webfarer.graph.graph import Entity, Relation
from webfarer.graph.values import interval
from webfarer.types import Value
from webfarer.types.query import LiteralKind

Row = dict[str, Any]
Notes = Counter[str]
_Text = TypeVar("_Text")

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*")

# What cannot be seen: soft hyphen, zero-width space, marks and overrides of direction, word joiner,
# byte order mark, controls, half surrogates. The zero-width joiners stay: scripts and emoji spell
# with them.
_UNSEEN = dict.fromkeys(
    [
        *(code for code in range(0xA0) if not (chr(code).isprintable() or chr(code).isspace())),
        *(0xAD, 0x61C, 0x200B, 0x200E, 0x200F, 0xFEFF),
        *(*range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xD800, 0xE000)),
    ]
)


def clean(text: str) -> str:
    """The text in one line: no character that cannot be seen, no space doubled or at an end."""
    return " ".join(text.translate(_UNSEEN).split())


def clean_prose(text: str) -> str:
    """The text with its lines kept, each one clean."""
    return "\n".join(clean(line) for line in text.split("\n")).strip("\n")


def entity_of(row: Row, notes: Notes | None = None) -> Entity:
    """The entity that a row of entities.jsonl says. Raises ValueError that says what is wrong."""
    notes = Notes() if notes is None else notes
    types = _texts(row.get("types") or [], "types", str)
    kept = tuple(dict.fromkeys(types))
    notes["types given twice, dropped"] += len(types) - len(kept)
    labels = _by_language(row, "label", lambda text, key: _text(text, key, notes))
    return Entity(
        id=id_of(row, "id"),
        types=kept,
        labels=labels,
        aliases=_by_language(
            row, "aliases", lambda texts, key: _texts(texts, key, lambda text: cleaned(text, notes))
        ),
        descriptions=_by_language(row, "description", lambda text, key: _text(text, key, notes)),
    )


def entity_row(entity: Entity) -> Row:
    row: Row = {"id": entity.id, "label": "", "description": "", "aliases": []}
    row |= {"types": list(entity.types)}
    row |= _keyed("label", entity.labels) | _keyed("description", entity.descriptions)
    return row | _keyed("aliases", {key: [*texts] for key, texts in entity.aliases.items()})


def relation_of(row: Row) -> Relation:
    """The relation that a row of relations.jsonl says. Raises ValueError as `entity_of`."""
    value = row.get("value") or "entity"
    if value not in ("entity", *get_args(LiteralKind)):
        raise ValueError(f"value is {value!r}, not entity, date, number or name")
    return Relation(
        id=id_of(row, "id"),
        labels=_by_language(row, "label", _text),
        value=value,
        unit=_text(row.get("unit") or "", "unit"),
        sentences=_by_language(row, "sentences", lambda texts, key: _texts(texts, key, clean)),
        inverse=_by_language(row, "inverse", _text),
    )


def relation_row(relation: Relation) -> Row:
    row: Row = {"id": relation.id, "label": "", "value": relation.value, "unit": relation.unit}
    row |= _keyed("label", relation.labels) | _keyed("inverse", relation.inverse)
    return row | _keyed("sentences", {key: [*texts] for key, texts in relation.sentences.items()})


def literal_of(row: Row, relation: Relation) -> Value:
    """The literal that a row of literals.jsonl says; its unit is the relation's if it has none.

    Raises ValueError where kind, value or unit is unusable or is not the relation's.
    """
    kind, value = relation.value, row.get("value")
    if row.get("kind") != kind or kind == "entity":
        raise ValueError(
            f"kind is {row.get('kind')!r}, but relations.jsonl says {kind!r} for {relation.id}"
        )
    unit = _text(row.get("unit") or "", "unit") or relation.unit
    if relation.unit and unit != relation.unit:
        raise ValueError(f"unit is {unit!r}, but that of {relation.id} is {relation.unit!r}")
    if kind == "number":
        return Value(kind="number", value=_number(value), unit=unit)
    text = _text(value, "value")
    if not text:
        raise ValueError("value is empty")
    if kind == "date":
        interval(text)
    return Value(kind=kind, value=text, unit=unit)


def literal_row(subject: str, relation: str, value: Value) -> Row:
    row: Row = {"subject": subject, "relation": relation, "kind": value.kind, "value": value.value}
    return row | ({"unit": value.unit} if value.unit else {})


def id_of(row: Row, key: str) -> str:
    """The row's id under this key. Raises ValueError unless it is printable and without spaces
    at its ends, so that it fits a column."""
    name = row.get(key)
    if not isinstance(name, str) or not name or not name.isprintable() or name != name.strip():
        raise ValueError(f"{key} is {name!r}, not an id")
    return name


def cleaned(text: str, notes: Notes) -> str:
    """`clean(text)`, counted where that takes away what cannot be seen."""
    notes["texts with invisible characters, removed"] += text != text.translate(_UNSEEN)
    return clean(text)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"value is {value!r}, not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("value is not a finite number")
    return number


def _text(text: object, key: str, notes: Notes | None = None) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{key} is {text!r}, not a text")
    return clean(text) if notes is None else cleaned(text, notes)


def _texts(texts: object, key: str, change: Callable[[str], str]) -> tuple[str, ...]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{key} is {texts!r}, not a list of texts")
    return tuple(text for text in map(change, texts) if text)


def _by_language(row: Row, name: str, read: Callable[[Any, str], _Text]) -> dict[str, _Text]:
    """What the row says under `name` (English) and `name_xx`; what is empty is left out."""
    said: dict[str, _Text] = {}
    for key, value in row.items():
        head, _, language = key.partition("_")
        if head != name or value is None or not (key == name or LANGUAGE.fullmatch(language)):
            continue
        if (text := read(value, key)) and not (language == "en" and name in row):
            said[language or "en"] = text
    return said


def _keyed(name: str, texts: Mapping[str, _Text]) -> dict[str, _Text]:
    return {
        name if language == "en" else f"{name}_{language}": texts[language]
        for language in sorted(texts)
        if texts[language]
    }
