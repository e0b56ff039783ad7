"""What the scripted expert means to read, taken from a task's query.

A chain is read from its first entity on. A web of constraints is entered at an entity it names and
followed backwards to the target `x`, by the lists on the pages of objects; then what the question
says of the target is checked on its own page.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from webfarer.graph.graph import KnowledgeGraph, Node
from webfarer.graph.query import execute
from webfarer.types import OfType, Query, Triple

Clue = list[tuple[str, str, str]]  # a page, the relation whose list to read there, what it names


@dataclass(frozen=True)
class Step:
    """One fact to read: on the subject's page, the relation's object."""

    subject: str
    relation: str
    object: Node


class Plan:
    """The ways through a graph that answer a query, which has an answer there."""

    def __init__(self, graph: KnowledgeGraph, query: Query) -> None:
        self.graph, self.query = graph, query
        self.is_chain = is_chain(query)
        self._triples = [clause for clause in query.where if isinstance(clause, Triple)]

    def steps(self) -> list[Step]:
        """The facts to read: all of a chain; of a web of constraints, the attribute asked for."""
        return [
            Step(
                subject=triple.subject.id or self.binding(triple.subject.var or ""),
                relation=triple.relation,
                object=self.nodes(triple)[0],
            )
            for triple in self._triples
            if self.is_chain or self._asked(triple)
        ]

    def nodes(self, triple: Triple) -> list[Node]:
        """What a triple's object is, or may be."""
        if triple.object.var is None:
            return [triple.object.id or triple.object.literal or ""]
        query = self.query.model_copy(update={"select": triple.object.var, "then": None})
        return [node for node in execute(query, self.graph) if not isinstance(node, int)]

    def binding(self, var: str) -> str:
        """The first entity that a variable may be."""
        query = self.query.model_copy(update={"select": var, "then": None})
        node = execute(query, self.graph)[0]
        assert isinstance(node, str)
        return node

    def clues(self) -> list[Clue]:
        """Ways from a known entity against the triples to the target, those that name the fewest
        things on the way first."""
        clues = []
        for triple in self._triples:
            if triple.object.id is None or triple.subject.var is None:
                continue
            clue = [(triple.object.id, triple.relation, self.binding(triple.subject.var))]
            at = triple.subject.var
            for before in self._triples:
                if before.object.var == at and before.subject.var is not None:
                    here = clue[-1][2]
                    clue.append((here, before.relation, self.binding(before.subject.var)))
                    at = before.subject.var
            if at == "x":
                clues.append(clue)
        return sorted(clues, key=lambda clue: [len(self.graph.facts_to(at)) for at, _, _ in clue])

    @cached_property
    def said_of_target(self) -> list[Triple]:
        """What the question says of the target itself."""
        return [t for t in self._triples if t.subject.var == "x" and not self._asked(t)]

    @property
    def relations_to_check(self) -> list[str]:
        return list(dict.fromkeys(t.relation for t in self._triples if t.subject.var))

    def asides(self, clue: Clue) -> list[Step]:
        """The facts about the target's neighbours that the question names and the clue, which has
        been read, does not show."""
        found = []
        for triple in self._triples:
            if triple.subject.var in (None, "x") or triple.object.id is None:
                continue
            subject = self.binding(triple.subject.var)
            if (triple.object.id, triple.relation, subject) not in clue:
                found.append(Step(subject, triple.relation, triple.object.id))
        return found

    def description(self) -> str:
        """What is known of the target, as words to search for."""
        words = [self.graph.type_label(c.type) for c in self.query.where if isinstance(c, OfType)]
        for triple in self._triples:
            if not self._asked(triple):
                words.append(self.graph.relation_label(triple.relation))
                words += [self.graph.label(triple.object.id)] if triple.object.id else []
        return " ".join(words)

    def _asked(self, triple: Triple) -> bool:
        return triple.object.var == self.query.select


def is_chain(query: Query) -> bool:
    """Whether the query goes from a known entity, one triple after another, to what it selects."""
    at = None
    for clause in query.where:
        if not isinstance(clause, Triple) or clause.object.var is None:
            return False
        if (clause.subject.id is None) if at is None else (clause.subject.var != at):
            return False
        at = clause.object.var
    return at == query.select
