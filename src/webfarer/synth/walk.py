"""Forward walks over a graph, in which every step has exactly one object.

A level-1 question is a walk of one fact, a level-2 question a chain of two or three. That each step
has one object makes "the birthplace of the director of X" mean one thing; the proof that a question
has exactly one answer is still its query, executed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from webfarer.graph.graph import Fact, KnowledgeGraph
from webfarer.types import Query, Term, Triple

# A relation one of whose objects stands in more than this share of its facts can be guessed.
GUESSABLE = 0.25
_FEW = 8  # with fewer facts than this a share says nothing


class Walker:
    """Draws walks from a graph: the relation first, so that rare relations are asked as often."""

    def __init__(self, graph: KnowledgeGraph, rng: random.Random) -> None:
        self.graph = graph
        self._rng = rng
        self._single = _single_facts(graph)
        self._by_relation: dict[str, list[Fact]] = {}
        for facts in self._single.values():
            for fact in facts:
                self._by_relation.setdefault(fact.relation, []).append(fact)
        self._guessable = guessable(graph)
        self._into: dict[str, list[Fact]] = {}
        for facts in self._single.values():
            for fact in facts:
                if isinstance(fact.object, str):
                    self._into.setdefault(fact.object, []).append(fact)

    @property
    def askable(self) -> list[str]:
        """The relations that may be asked for: those whose answer cannot be guessed."""
        return [relation for relation in self._by_relation if relation not in self._guessable]

    def walk(self, hops: int) -> tuple[Fact, ...] | None:
        """A chain of `hops` facts that ends with an askable relation and visits nothing twice.

        Drawn backwards from its last fact. None where the draw runs into a dead end.
        """
        if not self.askable:
            return None
        chain = [self._rng.choice(self._by_relation[self._rng.choice(self.askable)])]
        while len(chain) < hops:
            before = self._into.get(chain[0].subject, ())
            seen = [*(fact.subject for fact in chain), chain[-1].object]
            options = [fact for fact in before if fact.subject not in seen]
            if not options:
                return None
            relations = sorted({fact.relation for fact in options})
            relation = self._rng.choice(relations)
            chain.insert(0, self._rng.choice([f for f in options if f.relation == relation]))
        return tuple(chain)


def chain_query(chain: Sequence[Fact]) -> Query:
    """The query of a chain: from its first subject, through variables, to what is asked."""
    terms = [Term(id=chain[0].subject)]
    terms += [Term(var=f"x{place + 1}") for place in range(len(chain))]
    triples = tuple(
        Triple(subject=terms[place], relation=fact.relation, object=terms[place + 1])
        for place, fact in enumerate(chain)
    )
    return Query(select=f"x{len(chain)}", where=triples)


def _single_facts(graph: KnowledgeGraph) -> dict[str, list[Fact]]:
    """For each subject, its facts whose relation it has once, and which do not loop."""
    single: dict[str, list[Fact]] = {}
    for subject in graph.entities:
        facts = graph.facts_of(subject)
        times = Counter(fact.relation for fact in facts)
        single[subject] = [
            fact for fact in facts if times[fact.relation] == 1 and fact.object != subject
        ]
    return single


def guessable(graph: KnowledgeGraph) -> set[str]:
    """The relations that nobody need look up: one object stands in more than `GUESSABLE` of their
    facts."""
    objects: dict[str, Counter[object]] = {}
    for fact in graph.facts:
        objects.setdefault(fact.relation, Counter())[fact.object] += 1
    return {
        relation
        for relation, counts in objects.items()
        if counts.total() >= _FEW and counts.most_common(1)[0][1] / counts.total() > GUESSABLE
    }
