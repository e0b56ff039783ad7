"""Level 3: an entity that only a web of constraints singles out.

Constraints are drawn from what the graph says of the target, and of its neighbours, until the
query that holds them has one answer; then those that are not needed are taken away again, so that
every one of them counts. At least one names another entity: from there the target can be found, by
a reader who follows links, without going through all there is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from webfarer.graph.graph import Fact, KnowledgeGraph, Node
from webfarer.graph.query import execute
from webfarer.synth.bound import loose_bound
from webfarer.synth.walk import GUESSABLE, guessable
from webfarer.synth.wording import Wording
from webfarer.types import Clause, OfType, Prefix, Query, Range, Term, Triple, Value
from webfarer.web.article import BOX_CAP

MOST = 4  # constraints of one question
LEAST = 2


@dataclass(frozen=True)
class Constraint:
    """Clauses on the target `x`, their wording after the noun, and the facts they rest on."""

    clauses: tuple[Clause, ...]
    words: str
    facts: tuple[Fact, ...]

    @property
    def names_entity(self) -> bool:
        return any(isinstance(fact.object, str) for fact in self.facts)


@dataclass(frozen=True)
class Puzzle:
    """What a level-3 task is made of: the question, its query, its answer, its facts."""

    question: str
    query: Query
    answer: Node
    facts: tuple[Fact, ...]


class Puzzler:
    """Makes level-3 puzzles over one graph; `keep` says which facts may be used."""

    def __init__(
        self,
        graph: KnowledgeGraph,
        wording: Wording,
        rng: random.Random,
        keep: Callable[[Fact], bool],
    ) -> None:
        self.graph = graph
        self._wording = wording
        self._rng = rng
        self._keep = keep
        self._guessable = guessable(graph)
        subjects = dict.fromkeys(fact.subject for fact in graph.facts if keep(fact))
        self._targets = [entity for entity in subjects if self._askable(entity)]

    def _askable(self, entity: str) -> bool:
        """Whether the entity is of a named type that has too many members to guess one."""
        kind = self._wording.kind_of(entity)
        return kind is not None and len(self.graph.of_type(kind)) * GUESSABLE >= 1

    def puzzle(self) -> Puzzle | None:
        """One puzzle, or None where this draw of target and constraints does not single it out."""
        if not self._targets:
            return None
        target = self._rng.choice(self._targets)
        kind = self._wording.kind_of(target)
        assert kind is not None
        options = self._constraints(target)
        self._rng.shuffle(options)
        chosen = self._single_out(target, kind, _apart(options))
        if chosen is None or not any(constraint.names_entity for constraint in chosen):
            return None
        return self._worded(target, kind, chosen)

    def _single_out(
        self, target: str, kind: str, options: Sequence[Constraint]
    ) -> list[Constraint] | None:
        for size in range(LEAST, min(MOST, len(options)) + 1):
            chosen = list(options[:size])
            if execute(_query(kind, chosen), self.graph) == [target]:
                return self._needed(kind, chosen, target)
        return None

    def _needed(self, kind: str, chosen: list[Constraint], target: str) -> list[Constraint]:
        """Without those whose absence changes nothing. One pass is enough: what is needed among
        many is needed among fewer."""
        for constraint in list(chosen):
            fewer = [other for other in chosen if other is not constraint]
            if len(fewer) >= LEAST and execute(_query(kind, fewer), self.graph) == [target]:
                chosen = fewer
        return chosen

    def _worded(self, target: str, kind: str, chosen: list[Constraint]) -> Puzzle | None:
        facts = tuple(fact for constraint in chosen for fact in constraint.facts)
        query, asked, answer = _query(kind, chosen), None, target
        extra = [fact for fact in self._facts(target) if fact not in facts and self._asks(fact)]
        if extra and self._rng.random() < 0.5:
            fact = self._rng.choice(extra)
            clause = Triple(subject=Term(var="x"), relation=fact.relation, object=Term(var="y"))
            query = Query(select="y", where=(*query.where, clause))
            asked, answer, facts = fact, fact.object, (*facts, fact)
        words = [constraint.words for constraint in chosen]
        question = self._wording.web(kind, words, asked, self._rng)
        return Puzzle(question, query, answer, facts)

    # What can be said of a target

    def _facts(self, entity: str) -> list[Fact]:
        """What may be said of it and stands on its own page, not on a list that goes on."""
        return [
            fact
            for fact in self.graph.facts_of(entity)
            if self._keep(fact) and len(self.graph.objects(entity, fact.relation)) <= BOX_CAP
        ]

    def _asks(self, fact: Fact) -> bool:
        """Whether the fact's object may be asked for: it is the only one and cannot be guessed."""
        single = len(self.graph.objects(fact.subject, fact.relation)) == 1
        plain = self._wording.plain(fact.relation)
        return single and plain and fact.relation not in self._guessable

    def _constraints(self, target: str) -> list[Constraint]:
        found: list[Constraint] = []
        for place, fact in enumerate(self._facts(target)):
            if isinstance(fact.object, Value):
                found.extend(self._bound(fact, place))
            elif fact.object != target and not self._wording.ambiguous(fact.object):
                found.append(self._direct(fact))
            if isinstance(fact.object, str):
                found.extend(self._through(fact, place))
        if found:
            found.append(self._beginning(target))
        return found

    def _direct(self, fact: Fact) -> Constraint:
        assert isinstance(fact.object, str)
        clause = Triple(subject=Term(var="x"), relation=fact.relation, object=Term(id=fact.object))
        return Constraint((clause,), self._wording.having(fact), (fact,))

    def _through(self, fact: Fact, place: int) -> list[Constraint]:
        """By a neighbour's neighbour: "whose director has the birthplace Y"."""
        assert isinstance(fact.object, str)
        further = [
            next_fact
            for next_fact in self._facts(fact.object)
            if isinstance(next_fact.object, str)
            and next_fact.object != fact.subject
            and not self._wording.ambiguous(next_fact.object)
        ]
        if not further:
            return []
        second = self._rng.choice(further)
        assert isinstance(second.object, str)
        middle = Term(var=f"via{place}")
        clauses = (
            Triple(subject=Term(var="x"), relation=fact.relation, object=middle),
            Triple(subject=middle, relation=second.relation, object=Term(id=second.object)),
        )
        words = self._wording.having_one(fact, second)
        return [Constraint(clauses, words, (fact, second))]

    def _bound(self, fact: Fact, place: int) -> list[Constraint]:
        """By a bound on a date or number: "whose release date is before 1950"."""
        assert isinstance(fact.object, Value)
        bound = loose_bound(fact.object, self._rng)
        if bound is None or not self._wording.plain(fact.relation):
            return []
        var = f"value{place}"
        clauses = (
            Triple(subject=Term(var="x"), relation=fact.relation, object=Term(var=var)),
            Range(var=var, min=bound.least, max=bound.most),
        )
        return [Constraint(clauses, self._wording.bound(fact.relation, bound), (fact,))]

    def _beginning(self, target: str) -> Constraint:
        text = self.graph.label(target)[: self._rng.choice((1, 2))].strip()
        kind = self._wording.kind_of(target)
        assert kind is not None
        clause = Prefix(var="x", text=text, language=self.graph.language)
        return Constraint((clause,), self._wording.beginning(kind, text), ())


def _apart(options: Sequence[Constraint]) -> list[Constraint]:
    """Those that share no fact with an earlier one, which would say little more."""
    kept: list[Constraint] = []
    for option in options:
        if not any(fact in other.facts for fact in option.facts for other in kept):
            kept.append(option)
    return kept


def _query(kind: str, constraints: Sequence[Constraint]) -> Query:
    clauses = [clause for constraint in constraints for clause in constraint.clauses]
    return Query(select="x", where=(OfType(var="x", type=kind), *clauses))
