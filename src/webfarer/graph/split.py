"""Splits an imported graph into train, valid and test by its entities.

An entity is drawn by a key of its own id, so that adding entities does not move others. A fact is
test if either of its entities is, else valid if either is: what a test question asks about was
never on a page that training saw, neither as a fact nor in the prose that came with an import (see
`train_graph`). Hubs (countries, professions) stay in train: a single one drawn into test would take
hundreds of facts with it. On an excerpt of Wikidata of 4,941 entities with 46,000 facts, over 12
seeds, the share of test facts at valid 0.1 and test 0.2 was:

    hub    entities over it    test facts, mean (least to most)
     50                 198    24% (22% to 25%)
    100                  86    26% (25% to 28%)
    400                  16    31% (29% to 33%)
   none                   0    35% (31% to 40%)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Language
from webfarer.types import BadInput, seed_for
from webfarer.types.task import Split

HUB = 100
_SPAN = float(1 << 63)  # `seed_for` is uniform below this
_BETWEEN = re.compile(r"[\W_]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # scripts without spaces
_LEAST_LETTERS = 3  # of a name that counts as named: "It" stands in every text


@dataclass(frozen=True, slots=True)
class EntitySplit:
    """The ids of each split: every entity that carries a fact is in exactly one."""

    train: frozenset[str]
    valid: frozenset[str]
    test: frozenset[str]


def split_entities(
    graph: KnowledgeGraph, seed: int, valid: float = 0.1, test: float = 0.2, hub: int = HUB
) -> EntitySplit:
    """Draws each entity into valid or test with these chances; the rest is train.

    Entities in more than `hub` facts are always train, entities in none are nowhere. Whether an
    entity is drawn depends on its id and the seed alone; new facts move it only by making it a
    hub. Raises BadInput where the chances are not shares that leave something to train.
    """
    if valid < 0 or test < 0 or not valid + test < 1:
        raise BadInput(
            f"valid {valid} and test {test} are not shares; give two that add up to less than 1"
        )
    parts: dict[Split, list[str]] = {"train": [], "valid": [], "test": []}
    for entity in graph.entities:
        if degree := graph.degree(entity):
            place = seed_for("split", seed, entity) / _SPAN
            parts["train" if degree > hub else _drawn(place, valid, test)].append(entity)
    return EntitySplit(*(frozenset(parts[part]) for part in ("train", "valid", "test")))


def _drawn(place: float, valid: float, test: float) -> Split:
    if place < test:
        return "test"
    return "valid" if place < test + valid else "train"


def fact_split(fact: Fact, split: EntitySplit) -> Split:
    """Test if either entity is; else valid if either is; else train."""
    ends = {fact.subject, fact.object} if isinstance(fact.object, str) else {fact.subject}
    if ends & split.test:
        return "test"
    return "valid" if ends & split.valid else "train"


def path_is(facts: Iterable[Fact], split: EntitySplit) -> Split | None:
    """The split that every fact on the path is in; None for a mixture and for no facts.

    A question belongs to a split only if all that leads to its answer does: a test answer of which
    one edge was on a training page is partly remembered, not found.
    """
    found: set[Split] = {fact_split(fact, split) for fact in facts}
    return found.pop() if len(found) == 1 else None


def train_graph(graph: KnowledgeGraph, split: EntitySplit) -> KnowledgeGraph:
    """What training may see: the graph without valid and test facts, and without the descriptions
    and extracts that may state them. It keeps the graph's name.

    A valid or test entity has neither. Of another entity, a text is left out whole if it holds a
    label or alias of an entity that a left-out fact ties it to, or if such an entity has no label
    in the text's language, so that nobody can tell. A text that names one in a way that the graph
    does not know (by surname alone) stays. So do labels, aliases and types.
    """
    return _without(graph, split.valid | split.test, lambda f: fact_split(f, split) == "train")


def valid_graph(graph: KnowledgeGraph, split: EntitySplit) -> KnowledgeGraph:
    """The graph without test facts and the prose that may state them, as in `train_graph`. For
    testing, the graph itself is used."""
    return _without(graph, split.test, lambda fact: fact_split(fact, split) != "test")


def _without(
    graph: KnowledgeGraph, hidden: frozenset[str], keep: Callable[[Fact], bool]
) -> KnowledgeGraph:
    kept = graph.restricted(graph.name, keep)
    for id in hidden:
        kept.entities[id] = replace(kept.entities[id], descriptions={}, extracts={})
    for id, others in _tied(graph, hidden, keep).items():
        entity, ends = kept.entities[id], [graph.entities[other] for other in others]
        names = {name for end in ends for name in _names(end)}
        kept.entities[id] = replace(
            entity,
            descriptions=_untelling(entity.descriptions, ends, names),
            extracts=_untelling(entity.extracts, ends, names),
        )
    return kept


def _tied(
    graph: KnowledgeGraph, hidden: frozenset[str], keep: Callable[[Fact], bool]
) -> dict[str, dict[str, None]]:
    """The entities that are not hidden, each with those that a left-out fact ties it to."""
    tied: dict[str, dict[str, None]] = {}
    for fact in graph.facts:
        if isinstance(fact.object, str) and not keep(fact):
            for one, other in ((fact.subject, fact.object), (fact.object, fact.subject)):
                if one not in hidden:
                    tied.setdefault(one, {})[other] = None
    return tied


def _untelling(
    texts: Mapping[Language, str], ends: Sequence[Entity], names: Iterable[str]
) -> dict[Language, str]:
    """The texts that hold none of the names, in languages in which every end has a label."""
    kept: dict[Language, str] = {}
    for language, text in texts.items():
        padded = f" {_folded(text)} "
        known = all(end.labels.get(language) for end in ends)
        if known and not any(name in padded for name in names):
            kept[language] = text
    return kept


def _names(entity: Entity) -> Iterator[str]:
    """The entity's labels and aliases in all languages, as they stand in a folded text: between
    spaces, unless their script puts none. Those too short to tell are left out."""
    aliases = (alias for some in entity.aliases.values() for alias in some)
    for name in map(_folded, (*entity.labels.values(), *aliases)):
        if _UNSPACED.search(name):
            if len(name) > 1:
                yield name
        elif sum(map(str.isalnum, name)) >= _LEAST_LETTERS:
            yield f" {name} "


def _folded(text: str) -> str:
    """Compatibility forms, case and punctuation put aside; one space between words."""
    return _BETWEEN.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
