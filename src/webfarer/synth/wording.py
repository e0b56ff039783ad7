"""How questions are worded, in the language of their graph."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from webfarer.graph.graph import Fact, KnowledgeGraph
from webfarer.synth.bound import Bound
from webfarer.synth.wording_en import EnglishWording
from webfarer.synth.wording_zh import ChineseWording
from webfarer.types import BadInput


class Wording(Protocol):
    """Words questions over one graph: chains of facts, and webs of constraints."""

    def mention(self, entity: str) -> str:
        """What names the entity, and nothing else, within a question."""
        ...

    def ambiguous(self, entity: str) -> bool:
        """Whether no wording names the entity alone."""
        ...

    def sayable(self, entity: str) -> bool:
        """Whether the entity has a name in the language."""
        ...

    def kind_of(self, entity: str) -> str | None:
        """The entity's first type that has a name in the language."""
        ...

    def readable(self, chain: Sequence[Fact]) -> bool:
        """Whether the chain makes a sentence one can follow."""
        ...

    def plain(self, relation: str) -> bool:
        """Whether the relation's label is a noun that "the ... of X" can hold."""
        ...

    def chain(self, chain: Sequence[Fact], rng: random.Random) -> str:
        """The question that goes from the chain's first subject to its last object."""
        ...

    def having(self, fact: Fact) -> str:
        """The constraint that a thing has the fact's object, an entity."""
        ...

    def having_one(self, fact: Fact, further: Fact) -> str:
        """The constraint that what a thing has by the fact has the further fact's object."""
        ...

    def bound(self, relation: str, bound: Bound) -> str:
        """The constraint that a thing's value is within the bound."""
        ...

    def beginning(self, kind: str, text: str) -> str:
        """The constraint that the name of a thing of the type begins so."""
        ...

    def web(
        self, kind: str, constraints: Sequence[str], asked: Fact | None, rng: random.Random
    ) -> str:
        """The question for the thing of the type that keeps the constraints, or for what it has by
        the fact that is asked."""
        ...


_WORDINGS: dict[str, Callable[[KnowledgeGraph], Wording]] = {
    "en": EnglishWording,
    "zh": ChineseWording,
}


def wording_of(graph: KnowledgeGraph) -> Wording:
    """The wording of the graph's language. Raises BadInput where there is none."""
    make = _WORDINGS.get(graph.language)
    if make is None:
        raise BadInput(
            f"questions cannot be asked in {graph.language!r} of {graph.name}: give --language "
            f"{' or '.join(_WORDINGS)}"
        )
    return make(graph)
