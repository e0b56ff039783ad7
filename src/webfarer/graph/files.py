"""A graph in a folder: read with every line checked, written so that it reads back as it was.

    entities.jsonl            id, label, description, aliases, types; label_zh, aliases_zh ...
    relations.jsonl           id, label, label_zh ...; value, unit, sentences, inverse (_zh ...)
    triples.tsv               subject, relation, object: ids
    literals.jsonl            optional: subject, relation, kind, value, unit, after
    extracts.{lang}.jsonl.gz  optional, gzip or plain: id, text

Keys without a language are English. Other keys are ignored, and so are extracts of entities that
the graph does not have: both are common in what others publish. `after` says how many triples come
before a literal, so that the order of facts survives; literals without it come last.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.rows import (
    LANGUAGE,
    Notes,
    Row,
    clean_prose,
    entity_of,
    entity_row,
    id_of,
    literal_of,
    literal_row,
    relation_of,
    relation_row,
)
from webfarer.store.atomic import folder as new_folder
from webfarer.types import BadInput

_Thing = TypeVar("_Thing", Entity, Relation)


@dataclass(frozen=True, slots=True)
class Reading:
    """A graph and what was passed over or mended while it was read, counted by reason."""

    graph: KnowledgeGraph
    notes: dict[str, int] = field(default_factory=dict)


def load(folder: Path, name: str | None = None, language: str | None = None) -> KnowledgeGraph:
    """The graph in the folder; its name is the folder's unless one is given. Raises as `read`."""
    return read(folder, name, language).graph


def read(folder: Path, name: str | None = None, language: str | None = None) -> Reading:
    """The graph in the folder, with notes; read in the language that most of its entities have a
    label in (English, of equals) unless one is given.

    Raises BadInput, one line with file and line number, where a file is missing or is not UTF-8, a
    line is not what the form wants, an id is given twice or is unknown, or there are no facts.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder; give one that holds entities.jsonl and the rest")
    if (folder / "packed.json").exists():
        raise BadInput(
            f"{folder} is a packed graph; take a part: webfarer graph sample {folder} OUT"
        )
    notes = Notes()
    entities = _things(folder / "entities.jsonl", lambda row: entity_of(row, notes))
    relations = _things(folder / "relations.jsonl", relation_of)
    _add_extracts(folder, entities, notes)
    facts = _facts(folder, entities, relations)
    if not facts:
        raise BadInput(f"{folder / 'triples.tsv'}: the graph has no facts; give it at least one")
    graph = KnowledgeGraph(
        name or folder.resolve().name,
        entities.values(),
        relations.values(),
        facts,
        language or _commonest_language(entities.values()),
    )
    notes["facts given twice, dropped"] = len(facts) - len(graph.facts)
    notes["entities without a label in the graph's language or in English, named by their id"] = (
        sum(
            entity.labels.keys().isdisjoint((graph.language, "en"))
            for entity in graph.entities.values()
        )
    )
    notes["types that no entity describes, named by their id"] = sum(
        kind not in entities for kind in graph.types
    )
    return Reading(graph, {reason: count for reason, count in sorted(notes.items()) if count})


def _commonest_language(entities: Iterable[Entity]) -> str:
    times = Counter({"en": 0})
    for entity in entities:
        times.update(entity.labels.keys())
    return times.most_common(1)[0][0]


def save(graph: KnowledgeGraph, folder: Path) -> None:
    """Writes the graph as a folder, whole or not at all; the same graph gives the same bytes.

    Raises ValueError on what would not read back as it is (an id with a tab, a label with
    characters that cannot be seen, a literal that is not of its relation's kind, no facts);
    BadInput where the folder holds files that are not a graph's; WebfarerError on a full disk.
    """
    folder = Path(folder)
    contents = _contents(graph)
    _refuse_strangers(folder)
    with new_folder(folder) as building:
        for name, data in contents.items():
            (building / name).write_bytes(data)


def _refuse_strangers(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; give a folder to write the graph to")
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        own = path.name in ("entities.jsonl", "relations.jsonl", "triples.tsv", "literals.jsonl")
        if not own and not path.match("extracts.*.jsonl*"):
            raise BadInput(f"{path} is not part of a graph; give a folder of the graph's own")


# Reading


def _things(path: Path, make: Callable[[Row], _Thing]) -> dict[str, _Thing]:
    things: dict[str, _Thing] = {}
    for number, row in _rows(path):
        thing = _made(path, number, make, row)
        if thing.id in things:
            raise _bad(path, number, f"the id {thing.id!r} is given twice", "keep one of the two")
        things[thing.id] = thing
    return things


def _add_extracts(folder: Path, entities: dict[str, Entity], notes: Notes) -> None:
    """Gives the entities their extracts, in place."""
    for path in sorted(folder.glob("extracts.*.jsonl*")):
        language = path.name.removesuffix(".gz").removesuffix(".jsonl").removeprefix("extracts.")
        if not LANGUAGE.fullmatch(language):
            raise BadInput(f"{path}: {language!r} is no language; name it like extracts.en.jsonl")
        for number, row in _rows(path):
            name = _made(path, number, lambda row: id_of(row, "id"), row)
            text = row.get("text")
            if not isinstance(text, str):
                raise _bad(path, number, f"text is {text!r}, not a text", "mend the line")
            notes["extracts of entities that are not in the graph, ignored"] += name not in entities
            if name in entities and (text := clean_prose(text)):
                known = entities[name]
                entities[name] = replace(known, extracts={**known.extracts, language: text})


def _facts(folder: Path, entities: dict[str, Entity], relations: dict[str, Relation]) -> list[Fact]:
    """Triples and literals in the order in which the graph that was saved had them."""
    path = folder / "triples.tsv"
    facts: list[Fact] = []
    for number, line in _lines(path):
        parts = line.split("\t")
        if len(parts) != 3:
            raise _bad(path, number, f"{len(parts)} columns, not 3", "separate by one tab each")
        fact = Fact(*parts)
        _check_known(path, number, fact.subject, fact.relation, entities, relations)
        if fact.object not in entities:
            raise _unknown(path, number, "entity", parts[2])
        if relations[fact.relation].value != "entity":
            raise _bad(path, number, f"the values of {fact.relation} are no entities",
                       "move the fact to literals.jsonl")  # fmt: skip
        facts.append(fact)
    literals = _literals(folder / "literals.jsonl", entities, relations, len(facts))
    placed = [(place, 1, fact) for place, fact in enumerate(facts)]
    placed += [(after, 0, fact) for after, fact in literals]
    return [fact for _, _, fact in sorted(placed, key=lambda item: item[:2])]


def _literals(
    path: Path, entities: dict[str, Entity], relations: dict[str, Relation], triples: int
) -> list[tuple[int, Fact]]:
    """Each literal fact with the number of triples before it."""
    found: list[tuple[int, Fact]] = []
    for number, row in _rows(path) if path.exists() else ():
        subject = _made(path, number, lambda row: id_of(row, "subject"), row)
        relation = _made(path, number, lambda row: id_of(row, "relation"), row)
        _check_known(path, number, subject, relation, entities, relations)
        value = _made(path, number, lambda row, of=relations[relation]: literal_of(row, of), row)
        after = row.get("after", triples)
        if type(after) is not int or not 0 <= after <= triples:
            raise _bad(path, number, f"after is {after!r}, not 0 to {triples}", "leave it out")
        found.append((after, Fact(subject, relation, value)))
    return found


def _check_known(
    path: Path,
    number: int,
    subject: str,
    relation: str,
    entities: dict[str, Entity],
    relations: dict[str, Relation],
) -> None:
    if subject not in entities:
        raise _unknown(path, number, "entity", subject)
    if relation not in relations:
        raise _unknown(path, number, "relation", relation)


def _made(path: Path, number: int, make: Callable[[Row], Any], row: Row) -> Any:
    try:
        return make(row)
    except (ValueError, BadInput) as error:
        raise _bad(path, number, str(error), "mend or remove the line") from error


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _bad(path, number, "not JSON", "mend or remove the line") from error
        if not isinstance(row, dict):
            raise _bad(path, number, "not a JSON object", "mend or remove the line")
        yield number, row


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The file's lines with their numbers from 1, without their ends; empty ones are skipped."""
    data = _bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise _bad(path, number, "not UTF-8", "save the file as UTF-8") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line := line.removesuffix("\r"):
            yield number, line


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{path} is not a whole gzip file; fetch or write it again") from error
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}; is it there?") from error


def _bad(path: Path, number: int, what: str, then: str) -> BadInput:
    return BadInput(f"{path}:{number}: {what}; {then}")


def _unknown(path: Path, number: int, what: str, name: str) -> BadInput:
    files = {"entity": "entities.jsonl", "relation": "relations.jsonl"}
    return _bad(path, number, f"unknown {what} {name!r}", f"add it to {files[what]} or remove this")


# Writing


def _contents(graph: KnowledgeGraph) -> dict[str, bytes]:
    """Each file's bytes; optional files only where there is something to say."""
    if not graph.facts:
        raise ValueError(f"the graph {graph.name!r} has no facts; a folder needs at least one")
    entities = [_checked(entity, entity_row, entity_of) for entity in graph.entities.values()]
    relations = [_checked(each, relation_row, relation_of) for each in graph.relations.values()]
    triples, literals = _split_facts(graph)
    contents = {
        "entities.jsonl": _encode(entities),
        "relations.jsonl": _encode(relations),
        "triples.tsv": "".join(line + "\n" for line in triples).encode(),
    }
    if literals:
        contents["literals.jsonl"] = _encode(literals)
    return contents | _extract_files(graph)


def _checked(
    thing: _Thing, to_row: Callable[[_Thing], Row], from_row: Callable[[Row], _Thing]
) -> Row:
    row = to_row(thing)
    if to_row(from_row(row)) != row:
        raise ValueError(f"{thing.id} would not read back as it is: clean its texts: {row}")
    return row


def _split_facts(graph: KnowledgeGraph) -> tuple[list[str], list[Row]]:
    triples: list[str] = []
    literals: list[Row] = []
    for fact in graph.facts:
        relation = graph.relations[fact.relation]
        if isinstance(fact.object, str):
            if relation.value != "entity":
                raise ValueError(f"{fact} has an entity where {relation.value} values belong")
            triples.append("\t".join((fact.subject, fact.relation, fact.object)))
            continue
        row = literal_row(fact.subject, fact.relation, fact.object)
        if literal_of(row, relation) != fact.object:
            raise ValueError(f"{fact} would not read back as it is: clean its value and unit")
        literals.append(row | {"after": len(triples)})
    return triples, literals


def _extract_files(graph: KnowledgeGraph) -> dict[str, bytes]:
    rows: dict[str, list[Row]] = {}
    for entity in graph.entities.values():
        for language, text in entity.extracts.items():
            if not LANGUAGE.fullmatch(language) or clean_prose(text) != text:
                raise ValueError(f"the {language!r} extract of {entity.id} is not clean")
            if text:
                rows.setdefault(language, []).append({"id": entity.id, "text": text})
    return {
        f"extracts.{language}.jsonl.gz": gzip.compress(_encode(rows[language]), mtime=0)
        for language in sorted(rows)
    }


def _encode(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
