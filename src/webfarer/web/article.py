"""An entity's page: what the graph says of it, said as an encyclopedia would.

Every fact is on the page. Which of its facts stand in the infobox and which in prose is drawn by a
key of graph, entity and relation, so that a reader has to look in both; all values of a relation
stay together, because half a list would be a wrong answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from webfarer.graph.graph import KnowledgeGraph, Node
from webfarer.graph.text import name_in_text, value_text
from webfarer.types import random_for, seed_for
from webfarer.web.document import (
    Block,
    Bullets,
    Chrome,
    Document,
    InfoRow,
    Paragraph,
    Run,
    Runs,
    Section,
)
from webfarer.web.phrases import capitalised
from webfarer.web.phrases_zh import phrases_in
from webfarer.web.urls import Address

K = TypeVar("K")
V = TypeVar("V")
BOX_CAP, LIST_CAP = 8, 12  # values of a relation, and inverse entries, before a link to the rest
_BOX_SHARE, _PROSE_SHARE = 0.8, 0.65
_HOLE = re.compile(r"(\{[so]\})")


class Addresses(Protocol):
    """What an article needs to know of its site."""

    graph: KnowledgeGraph
    chrome: Chrome

    def path_of(self, entity: str) -> str: ...
    def title_of(self, entity: str) -> str: ...
    def category_path(self, kind: str) -> str: ...
    def list_address(self, relation: str, entity: str, inverse: bool) -> Address: ...


def article(site: Addresses, entity: str) -> Document:
    """The document of an entity's page."""
    return _Article(site, entity).document()


class _Article:
    """One page in the making."""

    def __init__(self, site: Addresses, entity: str) -> None:
        self.site = site
        self.graph = site.graph
        self.language = site.graph.language
        self.phrases = phrases_in(self.language)
        self.entity = entity
        self.label = name_in_text(self.graph, entity)
        self.facts = grouped((f.relation, f.object) for f in self.graph.facts_of(entity))
        self.inverse = grouped((f.relation, f.subject) for f in self.graph.facts_to(entity))

    def document(self) -> Document:
        entity = self.graph.entities[self.entity]
        placed = [(relation, *self._place(relation)) for relation in self.facts]
        prose = [relation for relation, _, said in placed if said]
        rng = random_for("prose", self.graph.name, self.entity)
        rng.shuffle(prose)
        early = rng.randint(1, 3)
        aliases = self.graph.aliases(self.entity)
        return Document(
            url=self.site.path_of(self.entity),
            title=self.site.title_of(self.entity),
            description=entity.descriptions.get(self.language, ""),
            aliases=aliases,
            lead=tuple(self._lead(aliases, prose[:early])),
            infobox=tuple(self._row(relation) for relation, boxed, _ in placed if boxed),
            sections=(*self._about(), *self._prose(prose[early:]), *self._lists()),
            see_also=self._see_also(),
            categories=tuple(
                Run(capitalised(self.graph.type_label(kind)),
                    self.site.category_path(kind))
                for kind in entity.types
            ),
            chrome=self.site.chrome,
            language=self.language,
        )  # fmt: skip

    def _place(self, relation: str) -> tuple[bool, bool]:
        """Whether a relation's values stand in the infobox, and whether in prose."""
        draw = seed_for("place", self.graph.name, self.entity, relation)
        boxed = (draw & 0xFFFF) / 0x10000 < _BOX_SHARE
        said = (draw >> 16 & 0xFFFF) / 0x10000 < _PROSE_SHARE
        return boxed or not said, said

    # The lead

    def _lead(self, aliases: tuple[str, ...], relations: list[str]) -> Iterator[Paragraph]:
        runs = [Run(self._definition())]
        if aliases:
            known = self.phrases.also_known(self.label, aliases)
            runs.append(Run(self.phrases.gap + known))
        for relation in relations:
            runs += [Run(self.phrases.gap), *self._sentences(relation)]
        yield self._paragraph(runs)

    def _definition(self) -> str:
        """What it is: its type and its description, in one sentence or two."""
        entity = self.graph.entities[self.entity]
        text = entity.descriptions.get(self.language, "")
        return self.phrases.definition(self.label, self._kind(entity.types), text)

    def _kind(self, types: Sequence[str]) -> str:
        """The first type that has a name; an id that stands for itself says nothing."""
        for kind in types:
            label = self.graph.type_label(kind)
            if label != kind or not any(char.isdigit() for char in kind):
                return label
        return ""

    # Facts as prose

    def _sentences(self, relation: str) -> Iterator[Run]:
        """A sentence for each value up to three of them; one for all where there are more."""
        values = self.facts[relation]
        own = self.graph.relations[relation].sentences.get(self.language)
        apart = len(values) <= 3 and (own or self.phrases.repeats)
        groups = [[value] for value in values] if apart else [values]
        for number, group in enumerate(groups):
            if number:
                yield Run(self.phrases.gap)
            template = self._template(relation, number, len(group) > 1)
            for piece in _HOLE.split(template):
                if piece == "{s}":
                    yield Run(self.label)
                elif piece == "{o}":
                    yield from self._spoken(relation, group)
                elif piece:
                    yield Run(piece)

    def _template(self, relation: str, number: int, many: bool) -> str:
        known = self.graph.relations[relation].sentences.get(self.language, ())
        if known:
            draw = seed_for("sentence", self.graph.name, self.entity, relation, number)
            return known[draw % len(known)]
        label = self.graph.relation_label(relation).replace("{", "").strip()
        return self.phrases.sentence(label, many)

    def _spoken(self, relation: str, values: Sequence[Node]) -> Iterator[Run]:
        shown = [self._run(value) for value in values[:BOX_CAP]]
        rest = len(values) - len(shown)
        if rest:
            shown.append(Run(self.phrases.more(rest), self._rest(relation, inverse=False)))
        for index, run in enumerate(shown):
            if index:
                last = index == len(shown) - 1
                yield Run(self.phrases.last_comma if last else self.phrases.comma)
            yield run

    def _prose(self, relations: list[str]) -> Iterator[Section]:
        headings = self.phrases.headings
        by_heading = grouped((headings[self.graph.relations[r].value], r) for r in relations)
        for heading, members in by_heading.items():
            runs: list[Run] = []
            for relation in members:
                runs += [*([Run(self.phrases.gap)] if runs else []), *self._sentences(relation)]
            yield Section(heading, (self._paragraph(runs),))

    def _paragraph(self, runs: Iterable[Run]) -> Paragraph:
        """The runs that say something, with a space between two that need one."""
        row: list[Run] = []
        for run in runs:
            if row and self.phrases.apart(row[-1].text, run.text):
                row.append(Run(" "))
            row += [run] if run.text else []
        return Paragraph(tuple(row))

    def _about(self) -> Iterator[Section]:
        text = self.graph.entities[self.entity].extracts.get(self.language, "")
        paragraphs = [line.strip() for line in text.splitlines() if line.strip()]
        if paragraphs:
            yield Section(self.phrases.about, tuple(Paragraph((Run(line),)) for line in paragraphs))

    # Facts as rows and lists

    def _row(self, relation: str) -> InfoRow:
        values = self.facts[relation]
        shown = [self._run(value) for value in values[:BOX_CAP]]
        if len(values) > BOX_CAP:
            link = self.phrases.all_values(len(values))
            shown.append(Run(link, self._rest(relation, inverse=False)))
        return InfoRow(capitalised(self.graph.relation_label(relation)),
                       tuple(shown))  # fmt: skip

    def _lists(self) -> Iterator[Section]:
        for relation, subjects in self.inverse.items():
            items = tuple((self._run(subject),) for subject in subjects[:LIST_CAP])
            blocks: list[Block] = [Bullets(items)]
            if len(subjects) > LIST_CAP:
                link = self.phrases.all_entries(len(subjects))
                blocks.append(Paragraph((Run(link, self._rest(relation, inverse=True)),)))
            yield Section(inverse_heading(self.graph, relation), tuple(blocks))

    def _see_also(self) -> Runs:
        near = [v for values in self.facts.values() for v in values if isinstance(v, str)]
        near += [subject for subjects in self.inverse.values() for subject in subjects]
        choice = [id for id in dict.fromkeys(near) if id != self.entity]
        picked = random_for("see also", self.graph.name, self.entity).sample(
            choice, min(4, len(choice))
        )
        return tuple(self._run(id) for id in picked)

    def _run(self, node: Node) -> Run:
        if isinstance(node, str):
            return Run(name_in_text(self.graph, node), self.site.path_of(node))
        return Run(value_text(node, self.language))

    def _rest(self, relation: str, inverse: bool) -> str:
        return self.site.list_address(relation, self.entity, inverse).path


def inverse_heading(graph: KnowledgeGraph, relation: str) -> str:
    """What heads the list of a relation's subjects on an object's page."""
    known = graph.relations[relation].inverse.get(graph.language)
    label = graph.relation_label(relation)
    return capitalised(known or phrases_in(graph.language).subjects_of(label))


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Values by key, both in order of first occurrence."""
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
