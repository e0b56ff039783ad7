"""How a question is worded in English, from a chain of facts or a web of constraints."""

from __future__ import annotations

import random
from collections.abc import Sequence

from webfarer.graph.graph import Fact, KnowledgeGraph

_ASK = (
    "What is {it}?",
    "What is {it}?",
    "Name {it}.",
    "Find {it}.",
    "Which is {it}?",
)
_ASK_WHO = ("Who is {it}?", "Who is {it}?", "Name {it}.", "Find {it}.")
_PEOPLE = {"person", "human"}


class Wording:
    """Words questions over one graph; says the type where a label alone is shared."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        self.graph = graph
        self._by_label: dict[str, list[str]] = {}
        for entity in graph.entities:
            self._by_label.setdefault(graph.label(entity).casefold(), []).append(entity)

    def mention(self, entity: str) -> str:
        """The entity's label, after its type where another entity has the same label."""
        label, types = self.graph.label(entity), self.graph.entities[entity].types
        if len(self._namesakes(entity)) > 1 and types:
            return f"the {self.graph.type_label(types[0])} {label}"
        return label

    def ambiguous(self, entity: str) -> bool:
        """Whether an entity of the same first type has the same label: no wording tells them
        apart."""
        kind = self.graph.entities[entity].types[:1]
        others = (other for other in self._namesakes(entity) if other != entity)
        return any(self.graph.entities[other].types[:1] == kind for other in others)

    def _namesakes(self, entity: str) -> list[str]:
        return self._by_label[self.graph.label(entity).casefold()]

    def chain(self, chain: Sequence[Fact], rng: random.Random) -> str:
        """ "What is the birthplace of the director of X?" """
        phrase = self.mention(chain[0].subject)
        for fact in chain:
            phrase = f"the {self.graph.relation_label(fact.relation)} of {phrase}"
        asks = _ASK_WHO if self._is_person(chain[-1].object) else _ASK
        return rng.choice(asks).format(it=phrase)

    def web(
        self, kind: str, constraints: Sequence[str], asked: str | None, rng: random.Random
    ) -> str:
        """ "Which film has ...?", or "What is the director of the film that ...?" where an
        attribute of the thing is asked for."""
        type_label = self.graph.type_label(kind)
        such = ", and ".join(constraints)
        if asked is None:
            return rng.choice(("Which {t} is the one {s}?", "Find the {t} {s}.")).format(
                t=type_label, s=such
            )
        return f"What is the {self.graph.relation_label(asked)} of the {type_label} {such}?"

    def _is_person(self, node: object) -> bool:
        if not isinstance(node, str):
            return False
        labels = {self.graph.type_label(kind) for kind in self.graph.entities[node].types}
        return bool(labels & _PEOPLE)
