"""Finds the bindings under which all of a query's clauses hold.

The search binds one variable at a time, the one with the fewest candidates in the graph's indexes.
What remains falls apart into parts that share no unbound variable. Each part is solved alone, once
for each binding of its border, and only for the variables that are asked for, so that a star of
constraints or two unconnected clauses cost the sum of their sizes and never the product (Dechter
and Mateescu, "AND/OR search spaces for graphical models", 2007).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from webfarer.graph.graph import Fact, KnowledgeGraph, Node
from webfarer.graph.values import best_of, within
from webfarer.types import ArgMax, Clause, OfType, Prefix, Range, Term, Triple, Value

Row = tuple[Node | None, ...]  # one place for each wanted variable; None: bound elsewhere

Clauses = tuple[int, ...]


class Part(NamedTuple):
    """Clauses that hang together: their bound variables, and which wanted ones they bind."""

    clauses: Clauses
    border: tuple[str, ...]
    asked: tuple[bool, ...]


class Search:
    """One execution: the clauses, the variables asked for and what has been solved so far."""

    def __init__(
        self,
        graph: KnowledgeGraph,
        clauses: Sequence[Clause],
        wanted: tuple[str, ...],
        best: ArgMax | None,
    ) -> None:
        self.graph = graph
        self.clauses = clauses
        self.wanted = tuple(dict.fromkeys(wanted))
        self.best = best
        self.names = [variables_of(clause) for clause in clauses]
        self.shapes: dict[tuple[Clauses, tuple[str, ...]], tuple[Clauses, list[Part]]] = {}
        self.solved: dict[tuple[Part, tuple[Node, ...]], list[Row]] = {}
        self.ends: dict[tuple[str, bool], list[Node]] = {}

    def all(self) -> list[Row]:
        """The distinct rows under which every clause holds."""
        return self.rows(tuple(range(len(self.clauses))), {})

    def rows(self, clauses: Clauses, bound: Mapping[str, Node]) -> list[Row]:
        """The distinct rows under which all these clauses hold, given what is bound."""
        ground, parts = self._shape(clauses, tuple(bound))
        if not all(self._holds(self.clauses[index], bound) for index in ground):
            return []
        found: list[list[Row]] = []
        for part in parts:
            rows = self._solve(part, bound)
            if not rows:
                return []
            found.append(rows)
        if len(found) == 1:
            return found[0]
        return [_merged(rows) for rows in product([(None,) * len(self.wanted)], *found)]

    def _shape(self, clauses: Clauses, bound: tuple[str, ...]) -> tuple[Clauses, list[Part]]:
        """The clauses that have nothing unbound, and the rest in parts that share nothing unbound.

        Parts that only have to hold come first and the one that `ArgMax` orders comes last, so
        that only what belongs to whole answers is ever compared.
        """
        key = (clauses, bound)
        if key not in self.shapes:
            free = {index: set(self.names[index]).difference(bound) for index in clauses}
            ground = tuple(index for index in clauses if not free[index])
            parts = [self._part(part, bound) for part in _connected(free)]
            self.shapes[key] = ground, sorted(parts, key=lambda part: part.asked[::-1])
        return self.shapes[key]

    def _part(self, clauses: Clauses, bound: tuple[str, ...]) -> Part:
        names = tuple(dict.fromkeys(name for index in clauses for name in self.names[index]))
        asked = tuple(name in names and name not in bound for name in self.wanted)
        return Part(clauses, tuple(name for name in names if name in bound), asked)

    def _solve(self, part: Part, bound: Mapping[str, Node]) -> list[Row]:
        key = (part, tuple(bound[name] for name in part.border))
        rows = self.solved.get(key)
        if rows is None:
            rows = self._branch(part, bound)
            if self.best and part.asked == (False, True):  # no product of the others with all these
                rows = best_of(rows, [row[1] for row in rows], self.best)
            self.solved[key] = rows
        return rows

    def _branch(self, part: Part, bound: Mapping[str, Node]) -> list[Row]:
        name, nodes = self._narrowest(part.clauses, bound)
        place = self.wanted.index(name) if name in self.wanted else None
        found: dict[Row, None] = {}
        for node in nodes:
            for row in self.rows(part.clauses, {**bound, name: node}):
                found[row if place is None else (*row[:place], node, *row[place + 1 :])] = None
            if found and not any(part.asked):
                break
        return list(found)

    def _narrowest(self, clauses: Clauses, bound: Mapping[str, Node]) -> tuple[str, Sequence[Node]]:
        """The unbound variable with the fewest candidates, and those."""
        choices = [
            (name, nodes)
            for index in clauses
            for name in self.names[index]
            if name not in bound
            and (nodes := self._candidates(self.clauses[index], name, bound)) is not None
        ]
        return min(choices, key=lambda choice: len(choice[1]))

    def _candidates(
        self, clause: Clause, name: str, bound: Mapping[str, Node]
    ) -> Sequence[Node] | None:
        """What the variable may be as far as this clause goes; None: the clause cannot tell."""
        if isinstance(clause, OfType):
            return self.graph.of_type(clause.type)
        if not isinstance(clause, Triple):
            return None
        subject, end = _node(clause.subject, bound), _node(clause.object, bound)
        if isinstance(subject, str):
            return self.graph.objects(subject, clause.relation)
        if subject is not None:
            return []
        if end is not None:
            return self.graph.subjects(clause.relation, end)
        return self._ends(clause.relation, is_object=clause.object.var == name)

    def _ends(self, relation: str, is_object: bool) -> list[Node]:
        key = (relation, is_object)
        if key not in self.ends:
            facts = self.graph.facts_by_relation(relation)
            ends = (fact.object if is_object else fact.subject for fact in facts)
            self.ends[key] = list(dict.fromkeys(ends))
        return self.ends[key]

    def _holds(self, clause: Clause, bound: Mapping[str, Node]) -> bool:
        if isinstance(clause, Triple):
            subject, end = _node(clause.subject, bound), _node(clause.object, bound)
            if not isinstance(subject, str) or end is None:
                return False
            return self.graph.has(Fact(subject, clause.relation, end))
        node = bound[clause.var]
        if isinstance(clause, OfType):
            return isinstance(node, str) and clause.type in self.graph.entities[node].types
        if isinstance(clause, Range):
            return isinstance(node, Value) and within(node, clause)
        return _begins(node, clause, self.graph)


def variables_of(clause: Clause) -> tuple[str, ...]:
    if isinstance(clause, Triple):
        terms = (clause.subject.var, clause.object.var)
        return tuple(dict.fromkeys(name for name in terms if name is not None))
    return (clause.var,)


def _node(term: Term, bound: Mapping[str, Node]) -> Node | None:
    """What the term stands for; None for a variable that is not bound."""
    return bound.get(term.var) if term.var is not None else term.id or term.literal


def _connected(free: Mapping[int, set[str]]) -> list[Clauses]:
    """The clauses that have unbound variables, in groups that share none."""
    groups: list[tuple[set[str], Clauses]] = []
    for index, names in free.items():
        touching = [group for group in groups if group[0] & names]
        groups = [group for group in groups if not group[0] & names]
        members = (member for group in touching for member in group[1])
        if names:
            merged = names.union(*(group[0] for group in touching))
            groups.append((merged, tuple(sorted([*members, index]))))
    return [members for _, members in groups]


def _merged(rows: Iterable[Row]) -> Row:
    return tuple(
        next((node for node in place if node is not None), None)
        for place in zip(*rows, strict=True)
    )


def _begins(node: Node, clause: Prefix, graph: KnowledgeGraph) -> bool:
    if isinstance(node, str):
        label = graph.entities[node].labels.get(clause.language)
        return label is not None and label.startswith(clause.text)
    return node.kind == "name" and str(node.value).startswith(clause.text)
