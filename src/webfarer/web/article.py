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
from webfarer.graph.text import value_text
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
from webfarer.web.urls import Address

K = TypeVar("K")
V = TypeVar("V")
BOX_CAP, LIST_CAP = 8, 12  # values of a relation, and inverse entries, before a link to the rest
_BOX_SHARE, _PROSE_SHARE = 0.8, 0.65
_HEADINGS = {"entity": "Background", "name": "Background", "date": "History", "number": "Figures"}
_HOLE = re.compile(r"(\{[so]\})")
_PREPOSITION = re.compile(r" (?:of|with|by|at|after|in|for|from|to|on)$")


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
        self.entity = entity
        self.label = self.graph.label(entity)
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
            runs.append(Run(f" {self.label} is also known as {in_words(aliases)}."))
        for relation in relations:
            runs += [Run(" "), *self._sentences(relation)]
        yield Paragraph(tuple(runs))

    def _definition(self) -> str:
        """What it is: its type and its description, in one sentence or two."""
        entity = self.graph.entities[self.entity]
        text = entity.descriptions.get(self.language, "").strip().rstrip(".")
        kind = self._kind(entity.types)
        if not kind or kind.lower() == self.label.lower():
            return f"{self.label}: {text}." if text else f"{self.label} is an entry of its own."
        noun = f"{self.label} is {with_article(kind)}"
        if not text:
            return f"{noun}."
        if re.match(rf"(?:an? |the )?{re.escape(kind)}(?!\w)", text, re.IGNORECASE):
            lower = text[0].lower() + text[1:]
            named = re.match(r"an? |the ", lower)
            return f"{self.label} is {lower if named else with_article(lower)}."
        return f"{noun}: {text}."

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
        groups = [[value] for value in values] if len(values) <= 3 else [values]
        for number, group in enumerate(groups):
            if number:
                yield Run(" ")
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
        if _PREPOSITION.search(label):
            return "{s}: " + label + " {o}."
        noun = plural(label) if many else label
        verb = "are" if noun == plural(noun) else "is"
        return f"The {noun} of {{s}} {verb} {{o}}."

    def _spoken(self, relation: str, values: Sequence[Node]) -> Iterator[Run]:
        shown = [self._run(value) for value in values[:BOX_CAP]]
        rest = len(values) - len(shown)
        if rest:
            shown.append(Run(f"{rest} more", self._rest(relation, inverse=False)))
        for index, run in enumerate(shown):
            if index:
                yield Run(" and " if index == len(shown) - 1 else ", ")
            yield run

    def _prose(self, relations: list[str]) -> Iterator[Section]:
        by_heading = grouped((_HEADINGS[self.graph.relations[r].value], r) for r in relations)
        for heading, members in by_heading.items():
            runs: list[Run] = []
            for relation in members:
                runs += [*([Run(" ")] if runs else []), *self._sentences(relation)]
            yield Section(heading, (Paragraph(tuple(runs)),))

    def _about(self) -> Iterator[Section]:
        text = self.graph.entities[self.entity].extracts.get(self.language, "")
        paragraphs = [line.strip() for line in text.splitlines() if line.strip()]
        if paragraphs:
            yield Section("About", tuple(Paragraph((Run(line),)) for line in paragraphs))

    # Facts as rows and lists

    def _row(self, relation: str) -> InfoRow:
        values = self.facts[relation]
        shown = [self._run(value) for value in values[:BOX_CAP]]
        if len(values) > BOX_CAP:
            shown.append(Run(f"all {len(values)}", self._rest(relation, inverse=False)))
        return InfoRow(capitalised(self.graph.relation_label(relation)),
                       tuple(shown))  # fmt: skip

    def _lists(self) -> Iterator[Section]:
        for relation, subjects in self.inverse.items():
            items = tuple((self._run(subject),) for subject in subjects[:LIST_CAP])
            blocks: list[Block] = [Bullets(items)]
            if len(subjects) > LIST_CAP:
                link = Run(f"All {len(subjects)} entries", self._rest(relation, inverse=True))
                blocks.append(Paragraph((link,)))
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
            return Run(self.graph.label(node), self.site.path_of(node))
        return Run(value_text(node, self.language))

    def _rest(self, relation: str, inverse: bool) -> str:
        return self.site.list_address(relation, self.entity, inverse).path


def inverse_heading(graph: KnowledgeGraph, relation: str) -> str:
    """What heads the list of a relation's subjects on an object's page."""
    known = graph.relations[relation].inverse.get(graph.language)
    return capitalised(known or f"{graph.relation_label(relation)} of")


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Values by key, both in order of first occurrence."""
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def capitalised(text: str) -> str:
    """The first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """ "a city", "an island": by spelling, with the commonest exceptions."""
    vowel = re.match(r"[aeiou](?!ni[^nm]|se|uro)|hon|hour|heir", noun, re.IGNORECASE)
    return f"{'an' if vowel else 'a'} {noun}"


def plural(noun: str) -> str:
    """ "countries of citizenship", "children", "notable works": the head of a noun phrase."""
    head, of, rest = noun.partition(" of ")
    if re.search(r"(?<![suio])s$|children$", head):
        return noun
    if head.endswith("child"):
        head += "ren"
    elif re.search(r"[^aeiou]y$", head):
        head = head[:-1] + "ies"
    else:
        head += "es" if re.search(r"(?:s|x|ch|sh)$", head) else "s"
    return head + of + rest


def in_words(texts: Sequence[str]) -> str:
    """ "A", "A and B", "A, B and C"."""
    return " and ".join(part for part in (", ".join(texts[:-1]), texts[-1]) if part)
