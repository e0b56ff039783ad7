"""`KnowledgeGraph`: entities, typed relations and literal attributes, held in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

from webfarer.types import Value
from webfarer.types.query import LiteralKind

Language = str
Node = str | Value


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing with a page of its own. Texts are by language code ("en", "zh").

    `extracts` is prose about it that came with an import; `types` are type ids, whose labels
    `KnowledgeGraph.type_label` gives.
    """

    id: str
    types: tuple[str, ...] = ()
    labels: Mapping[Language, str] = field(default_factory=dict)
    aliases: Mapping[Language, tuple[str, ...]] = field(default_factory=dict)
    descriptions: Mapping[Language, str] = field(default_factory=dict)
    extracts: Mapping[Language, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relation:
    """A typed relation. Its label is a noun phrase: "the {label} of X" is English.

    `value` says what its objects are; `sentences` are prose for a fact in each language, with
    `{s}` and `{o}`; `inverse` heads the list of subjects on an object's page ("born here").
    """

    id: str
    labels: Mapping[Language, str]
    value: Literal["entity"] | LiteralKind = "entity"
    unit: str = ""
    sentences: Mapping[Language, tuple[str, ...]] = field(default_factory=dict)
    inverse: Mapping[Language, str] = field(default_factory=dict)


_Thing = TypeVar("_Thing", Entity, Relation)


class Fact(NamedTuple):
    """Subject id, relation id, and an entity's id or a literal."""

    subject: str
    relation: str
    object: Node


class KnowledgeGraph:
    """Entities, relations and facts, indexed by subject, by object and by type.

    Order is that of the input, and nothing depends on hashing: the same input gives the same
    graph. Raises ValueError on a fact whose subject, relation or entity object is unknown, and on
    an id that two entities or two relations share.

    `language` is the one in which it is read: labels, pages, questions and answers are in it where
    nothing else is said. It is no part of what the graph says, nor of its hash.
    """

    def __init__(
        self,
        name: str,
        entities: Iterable[Entity],
        relations: Iterable[Relation],
        facts: Iterable[Fact],
        language: Language = "en",
    ) -> None:
        self.name = name
        self.language = language
        self.entities: dict[str, Entity] = _by_id(entities)
        self.relations: dict[str, Relation] = _by_id(relations)
        self.facts: tuple[Fact, ...] = tuple(dict.fromkeys(facts))
        self._out: dict[str, list[Fact]] = {}
        self._in: dict[Node, list[Fact]] = {}
        self._of_type: dict[str, list[str]] = {}
        for fact in self.facts:
            self._check(fact)
            self._out.setdefault(fact.subject, []).append(fact)
            self._in.setdefault(fact.object, []).append(fact)
        for entity in self.entities.values():
            for kind in dict.fromkeys(entity.types):
                self._of_type.setdefault(kind, []).append(entity.id)

    def _check(self, fact: Fact) -> None:
        known = fact.subject in self.entities and fact.relation in self.relations
        if not known or (isinstance(fact.object, str) and fact.object not in self.entities):
            raise ValueError(f"fact {fact} names an entity or relation the graph does not have")

    def facts_of(self, subject: str) -> list[Fact]:
        """The facts whose subject this entity is."""
        return self._out.get(subject, [])

    def facts_to(self, node: Node) -> list[Fact]:
        """The facts whose object this entity or literal is."""
        return self._in.get(node, [])

    def facts_by_relation(self, relation: str) -> list[Fact]:
        """The facts of this relation, in order."""
        return self._by_relation.get(relation, [])

    def objects(self, subject: str, relation: str) -> list[Node]:
        """What the subject has by the relation, in order."""
        return self._objects.get((subject, relation), [])

    def subjects(self, relation: str, node: Node) -> list[str]:
        """Who has the entity or literal by the relation, in order."""
        return self._subjects.get((relation, node), [])

    def has(self, fact: Fact) -> bool:
        """Whether the graph has this fact."""
        return fact in self._known

    def degree(self, entity: str) -> int:
        """How many facts name the entity; one that names it at both ends counts twice."""
        return len(self.facts_of(entity)) + len(self.facts_to(entity))

    @cached_property
    def _known(self) -> frozenset[Fact]:
        return frozenset(self.facts)

    @cached_property
    def _by_relation(self) -> dict[str, list[Fact]]:
        index: dict[str, list[Fact]] = {}
        for fact in self.facts:
            index.setdefault(fact.relation, []).append(fact)
        return index

    @cached_property
    def _objects(self) -> dict[tuple[str, str], list[Node]]:
        index: dict[tuple[str, str], list[Node]] = {}
        for fact in self.facts:
            index.setdefault((fact.subject, fact.relation), []).append(fact.object)
        return index

    @cached_property
    def _subjects(self) -> dict[tuple[str, Node], list[str]]:
        index: dict[tuple[str, Node], list[str]] = {}
        for fact in self.facts:
            index.setdefault((fact.relation, fact.object), []).append(fact.subject)
        return index

    @cached_property
    def order(self) -> dict[Node, int]:
        """Each node's place: entities as given, then literals as facts first name them."""
        literals = (node for node in self._in if not isinstance(node, str))
        return {node: place for place, node in enumerate([*self.entities, *literals])}

    def of_type(self, kind: str) -> list[str]:
        """The ids of the entities of a type, in order."""
        return self._of_type.get(kind, [])

    @property
    def types(self) -> list[str]:
        """The type ids in use, in order of first use."""
        return list(self._of_type)

    def in_language(self, language: Language) -> KnowledgeGraph:
        """The same graph, read in another language; nothing is copied."""
        other = copy(self)
        other.language = language
        return other

    def label(self, entity: str) -> str:
        """The entity's label in the graph's language; else in English; else its id."""
        labels = self.entities[entity].labels
        return labels.get(self.language) or labels.get("en") or entity

    def aliases(self, entity: str) -> tuple[str, ...]:
        """The entity's other names in the graph's language."""
        return self.entities[entity].aliases.get(self.language, ())

    def type_label(self, kind: str) -> str:
        """A type's name: the label of the entity of that id where there is one, else the id."""
        return self.label(kind) if kind in self.entities else kind

    def relation_label(self, relation: str) -> str:
        """The relation's label in the graph's language; else in English; else its id."""
        labels = self.relations[relation].labels
        return labels.get(self.language) or labels.get("en") or relation

    def restricted(self, name: str, keep: Callable[[Fact], bool]) -> KnowledgeGraph:
        """The same entities and relations with only the facts that `keep` accepts."""
        return KnowledgeGraph(
            name,
            self.entities.values(),
            self.relations.values(),
            (fact for fact in self.facts if keep(fact)),
            self.language,
        )

    @cached_property
    def sha256(self) -> str:
        """A hash of everything the graph says, independent of the Python that computes it."""
        digest = hashlib.sha256()
        for entity in self.entities.values():
            digest.update(
                _canonical(
                    [
                        entity.id,
                        entity.types,
                        _said(entity.labels),
                        _said(entity.aliases),
                        _said(entity.descriptions),
                        _said(entity.extracts),
                    ]
                )
            )
        for relation in self.relations.values():
            digest.update(
                _canonical(
                    [
                        relation.id,
                        relation.value,
                        relation.unit,
                        _said(relation.labels),
                        _said(relation.sentences),
                        _said(relation.inverse),
                    ]
                )
            )
        for fact in self.facts:
            end = fact.object if isinstance(fact.object, str) else fact.object.model_dump()
            digest.update(_canonical([fact.subject, fact.relation, end]))
        return digest.hexdigest()


def _by_id(things: Iterable[_Thing]) -> dict[str, _Thing]:
    index: dict[str, _Thing] = {}
    for thing in things:
        if thing.id in index:
            raise ValueError(f"two {type(thing).__name__} records share the id {thing.id!r}")
        index[thing.id] = thing
    return index


def _said(texts: Mapping[Language, object]) -> dict[Language, object]:
    """Without what is empty: an empty list of aliases says no more than none."""
    return {language: text for language, text in texts.items() if text}


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
