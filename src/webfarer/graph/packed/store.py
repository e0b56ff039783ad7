"""`PackedGraph`: a graph of any size in a folder, opened without being read.

    packed.json               form, version, name, counts, relations, files with sizes and SHA-256
    bounds.npy, slots.npy     the edges of each node side by side: see `layout`
    ids, labels.en, ...       texts by node, each a .text.npy and a .ends.npy: see `columns`

Nodes are numbered in the order of their ids, and relations in that of theirs. `aliases.en` and
`types` hold several texts, one a line; `literals` holds JSON: a list of [relation, kind, value,
unit]. Arrays are mapped into memory, so that opening costs nothing and the system keeps what is
used. A folder is written whole or not at all: one whose files are not the manifest's is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import ValidationError

from webfarer.graph.dumps.names_of import plain_name
from webfarer.graph.dumps.units import unit_symbol
from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.packed.columns import Array, Texts, mapped
from webfarer.graph.packed.layout import Incidence
from webfarer.graph.walk import Edge
from webfarer.store.manifest import sha256_file
from webfarer.types import BadInput, Value
from webfarer.types.base import Record
from webfarer.types.query import LiteralKind

MANIFEST = "packed.json"
VERSION = 1


class PackedRelation(Record):
    """A relation, what its values are and how many facts it has."""

    id: str
    value: Literal["entity"] | LiteralKind
    facts: int


class PackedFile(Record):
    """A file's size in bytes and hash."""

    bytes: int
    sha256: str


class PackedManifest(Record):
    """What a packed graph holds. `notes` says what the import passed over, counted by reason."""

    form: Literal["webfarer packed graph"] = "webfarer packed graph"
    version: int = VERSION
    name: str
    nodes: int
    edges: int
    literals: int
    languages: tuple[str, ...]
    relations: tuple[PackedRelation, ...]
    notes: dict[str, int] = {}
    files: dict[str, PackedFile] = {}


class Step(NamedTuple):
    """One edge as its node sees it: `out` where the node is the subject."""

    relation: int
    other: int
    out: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A part taken out as a graph in memory, and what could not come along, counted by reason."""

    graph: KnowledgeGraph
    notes: dict[str, int]


class PackedGraph:
    """Nodes and relations by number; texts by node and language. Made by `open`."""

    def __init__(self, folder: Path, manifest: PackedManifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.at = Incidence(mapped(folder / "bounds.npy"), mapped(folder / "slots.npy"))
        self.relations = tuple(each.id for each in manifest.relations)
        self._ids = Texts(folder, "ids")
        self._types = Texts(folder, "types")
        self._literals = Texts(folder, "literals")
        self._texts = {
            kind: {language: Texts(folder, f"{kind}.{language}") for language in self.languages}
            for kind in ("labels", "aliases", "descriptions")
        }

    @classmethod
    def open(cls, folder: Path) -> PackedGraph:
        """The packed graph in the folder. Raises BadInput where there is none, it is of another
        version, or a file of it is missing or not as long as it was written."""
        folder = Path(folder)
        manifest = read_manifest(folder)
        for name, file in manifest.files.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != file.bytes:
                raise _torn(path)
        try:
            return cls(folder, manifest)
        except (OSError, ValueError) as error:
            raise _torn(folder) from error

    def check(self) -> None:
        """Reads every file. Raises BadInput where one is not what was written."""
        for name, file in self.manifest.files.items():
            if sha256_file(self.folder / name) != file.sha256:
                raise _torn(self.folder / name)

    def __len__(self) -> int:
        return self.manifest.nodes

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def languages(self) -> tuple[str, ...]:
        return self.manifest.languages

    def id(self, node: int) -> str:
        """The node's id."""
        return self._ids[node]

    def find(self, id: str) -> int | None:
        """The node with this id, or None: a binary search."""
        wanted, low, high = id.encode(), 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._ids.raw(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and self._ids.raw(low) == wanted else None

    def node(self, id: str) -> int:
        """The node with this id. Raises BadInput where there is none."""
        node = self.find(id)
        if node is None:
            raise BadInput(f"{self.folder} has no {id!r}: give the id of one of its entities")
        return node

    def relation(self, id: str) -> int:
        """The number of a relation. Raises BadInput where there is none of that id."""
        if id not in self.relations:
            raise BadInput(f"{self.folder} has no relation {id!r}: webfarer graph show lists them")
        return self.relations.index(id)

    def label(self, node: int, language: str | None = None) -> str:
        """The node's label in the language, else in the first that has one, else its id."""
        labels = self._texts["labels"]
        order = [language] if language in labels else []
        for each in (*order, *self.languages):
            if text := labels[each][node]:
                return text
        return plain_name(self.id(node))

    def relation_label(self, relation: int, language: str | None = None) -> str:
        """The label of the entity that describes the relation, else its id's last part."""
        node = self.find(self.relations[relation])
        return plain_name(self.relations[relation]) if node is None else self.label(node, language)

    def degree(self, node: int) -> int:
        """How many edges name the node; one that names it at both ends counts twice."""
        return self.at.degree(node)

    def neighbours(self, node: int) -> list[Step]:
        """The node's edges, first those it is the subject of."""
        start, middle = map(int, self.at.bounds[node])
        rows = self.at.slots[start : int(self.at.bounds[node + 1, 0])].tolist()
        return [
            Step(relation, other, place < middle - start)
            for place, (other, relation) in enumerate(rows)
        ]

    def literals(self, node: int) -> list[tuple[str, Value]]:
        """The node's dates, numbers and names, each with its relation's id."""
        rows = json.loads(self._literals[node] or "[]")
        return [
            (relation, Value(kind=kind, value=value, unit=unit))
            for relation, kind, value, unit in rows
        ]

    def types(self, node: int) -> tuple[str, ...]:
        """The ids of the node's types."""
        return tuple(self._types[node].split("\n")) if self._types.raw(node) else ()

    def entity(self, node: int) -> Entity:
        """The node as a record, with all its texts."""
        found: dict[str, dict[str, str]] = {
            kind: {language: text for language, each in texts.items() if (text := each[node])}
            for kind, texts in self._texts.items()
        }
        id = self.id(node)
        plain = plain_name(id)
        labels = found["labels"] or ({"en": plain} if plain != id else {})
        aliases = {language: tuple(text.split("\n")) for language, text in found["aliases"].items()}
        return Entity(id, self.types(node), labels, aliases, found["descriptions"])

    def subgraph(self, nodes: Iterable[int], name: str) -> Part:
        """The nodes with all edges between them and all their literals, as a graph in memory; with
        the labelled entities that describe their types."""
        chosen = np.unique(np.fromiter(nodes, np.int64))
        return self._part(chosen, list(self._between(chosen)), name)

    def subgraph_of(self, edges: Iterable[Edge], name: str) -> Part:
        """The edges, and what `subgraph` takes along for their ends."""
        kept = sorted(set(edges))
        ends = [end for edge in kept for end in (edge.subject, edge.object)]
        return self._part(np.unique(np.array(ends, np.int64)), kept, name)

    def _between(self, nodes: Array) -> Iterator[Edge]:
        for node in nodes.tolist():
            start, middle = map(int, self.at.bounds[node])
            rows = np.asarray(self.at.slots[start:middle])
            places = np.searchsorted(nodes, rows[:, 0])
            inside = nodes[np.minimum(places, len(nodes) - 1)] == rows[:, 0]
            yield from (Edge(node, relation, other) for other, relation in rows[inside].tolist())

    def _part(self, nodes: Array, edges: list[Edge], name: str) -> Part:
        entities = {node: self.entity(node) for node in nodes.tolist()}
        for kind in sorted({kind for entity in entities.values() for kind in entity.types}):
            node = self.find(kind)
            if node is not None and node not in entities and (known := self.entity(node)).labels:
                entities[node] = known
        inside, edges_by = set(nodes.tolist()), dict[int, list[Edge]]()
        for edge in edges:
            edges_by.setdefault(edge.subject, []).append(edge)
        facts: list[Fact] = []
        for node, entity in entities.items():
            facts += [self.fact(edge) for edge in edges_by.get(node, ())]
            if node in inside:
                facts += [Fact(entity.id, *self._named(each)) for each in self.literals(node)]
        used = {fact.relation for fact in facts}
        relations = [self._relation(each) for each in self.manifest.relations if each.id in used]
        language = self._language(entities.values())
        return Part(KnowledgeGraph(name, entities.values(), relations, facts, language), {})

    def fact(self, edge: Edge) -> Fact:
        """The edge by ids."""
        return Fact(self.id(edge.subject), self.relations[edge.relation], self.id(edge.object))

    def _named(self, literal: tuple[str, Value]) -> tuple[str, Value]:
        """With its unit's symbol or label in place of the unit's id."""
        relation, value = literal
        if not value.unit:
            return literal
        symbol = unit_symbol(value.unit)
        if not symbol:
            node = self.find(value.unit)
            symbol = value.unit if node is None else self.label(node, "en")
        return relation, value.model_copy(update={"unit": symbol})

    def _relation(self, relation: PackedRelation) -> Relation:
        node = self.find(relation.id)
        labels = dict(self.entity(node).labels) if node is not None else {}
        return Relation(relation.id, labels or {"en": plain_name(relation.id)}, relation.value)

    def _language(self, entities: Collection[Entity]) -> str:
        times = {
            language: sum(language in entity.labels for entity in entities)
            for language in ("en", *self.languages)
        }
        return max(times, key=lambda language: times[language])


def is_packed(folder: Path) -> bool:
    """Whether the folder says that it is a packed graph."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> PackedManifest:
    """What the folder says it holds. Raises BadInput where it is no packed graph of this form."""
    path = folder / MANIFEST
    if not is_packed(folder):
        if (folder / "entities.jsonl").is_file():
            raise BadInput(
                f"{folder} is an ordinary graph, not a packed one: webfarer world show and every "
                "command with --world take it as it is"
            )
        raise BadInput(f"{folder} is not a packed graph: make one with webfarer graph import")
    try:
        said: Any = json.loads(path.read_bytes())
        version = said.get("version") if isinstance(said, dict) else None
        if version is not None and version != VERSION:
            raise BadInput(
                f"{folder} is a packed graph of form {version}, and this reads form {VERSION}: "
                "import it again"
            )
        return PackedManifest.model_validate(said)
    except (ValueError, ValidationError) as error:
        raise _torn(path) from error


def _torn(path: Path) -> BadInput:
    return BadInput(f"{path} is not as it was written: import the graph again")
