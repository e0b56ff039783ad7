"""Executes a `Query` over a `KnowledgeGraph`, checks it first and says it in English.

`docs/query.md` says what a query means; `webfarer.graph.search` finds its answers.
"""

from __future__ import annotations

import math

from webfarer.graph.graph import KnowledgeGraph, Node
from webfarer.graph.search import Search, variables_of
from webfarer.graph.values import best_of, interval
from webfarer.types import (
    ArgMax,
    BadInput,
    Clause,
    Count,
    OfType,
    Prefix,
    Query,
    Range,
    Term,
    Triple,
)

MAX_CLAUSES = 64


def execute(query: Query, graph: KnowledgeGraph) -> list[Node | int]:
    """Every answer, distinct: entities in the graph's order, then literals in theirs.

    With `Count`, a list of one int. No answer is an empty list, not an error. Raises BadInput where
    the query names what the graph does not have, uses a variable that no triple or type binds, has
    bounds that are not two numbers or two dates, or asks for the greatest of what has no order.
    """
    check(query, graph)
    best = query.then if isinstance(query.then, ArgMax) else None
    wanted = (query.select,) if best is None else (query.select, best.var)
    rows = Search(graph, query.where, wanted, best).all()
    if best:
        rows = best_of(rows, [row[-1] for row in rows], best)
    answers = list(dict.fromkeys(row[0] for row in rows if row[0] is not None))
    if isinstance(query.then, Count):
        return [len(answers)]
    return [*sorted(answers, key=graph.order.__getitem__)]


def variables(query: Query) -> tuple[str, ...]:
    """The variables of the clauses, in order of first use."""
    return tuple(dict.fromkeys(name for clause in query.where for name in variables_of(clause)))


def check(query: Query, graph: KnowledgeGraph) -> None:
    """Raises BadInput, in one line, where the query cannot be executed over the graph."""
    if len(query.where) > MAX_CLAUSES:
        raise BadInput(f"query: {len(query.where)} clauses; ask with at most {MAX_CLAUSES}")
    sources = [clause for clause in query.where if isinstance(clause, Triple | OfType)]
    bound = {name for clause in sources for name in variables_of(clause)}
    needed = [query.select, *variables(query)]
    if isinstance(query.then, ArgMax):
        needed.append(query.then.var)
    for name in needed:
        if name not in bound:
            raise BadInput(f"query: no triple or type binds the variable {name!r}; add one")
    for clause in query.where:
        _check_clause(clause, graph)


def _check_clause(clause: Clause, graph: KnowledgeGraph) -> None:
    if isinstance(clause, Triple):
        _check_triple(clause, graph)
    elif isinstance(clause, OfType):
        if not graph.of_type(clause.type) and clause.type not in graph.entities:
            raise _unknown("type", clause.type, graph)
    elif isinstance(clause, Range):
        _check_bounds(clause)


def _check_triple(clause: Triple, graph: KnowledgeGraph) -> None:
    if clause.relation not in graph.relations:
        raise _unknown("relation", clause.relation, graph)
    for term in (clause.subject, clause.object):
        if term.id is not None and term.id not in graph.entities:
            raise _unknown("entity", term.id, graph)
        if term.literal is not None and term.literal.kind == "date":
            interval(str(term.literal.value))
    if clause.subject.literal is not None:
        raise BadInput(
            f"query: the subject of {clause.relation!r} is a literal; "
            "literals are objects only, so turn the triple round"
        )


def _check_bounds(clause: Range) -> None:
    bounds = [bound for bound in (clause.min, clause.max) if bound is not None]
    if len({type(bound) for bound in bounds}) > 1:
        raise BadInput(
            f"query: the range of {clause.var!r} runs from {clause.min!r} to {clause.max!r}; "
            "give two numbers or two dates (as text)"
        )
    for bound in bounds:
        if isinstance(bound, str):
            interval(bound)
        elif math.isnan(bound):
            raise BadInput(f"query: a bound of {clause.var!r} is not a number; give one")


def _unknown(what: str, name: str, graph: KnowledgeGraph) -> BadInput:
    return BadInput(
        f"query: the graph {graph.name!r} has no {what} {name!r}; "
        "was the query made for another graph?"
    )


def explain(query: Query, graph: KnowledgeGraph) -> str:
    """The query as English: what is asked for, a line for each clause, then what is kept.

    Raises BadInput as `execute` does.
    """
    check(query, graph)
    lines = [f"every ?{query.select} where"]
    lines += [f"  {_said(clause, graph)}" for clause in query.where]
    if isinstance(query.then, Count):
        lines.append("how many there are")
    elif query.then is not None:
        lines.append(f"with the {'least' if query.then.least else 'greatest'} ?{query.then.var}")
    return "\n".join(lines)


def _said(clause: Clause, graph: KnowledgeGraph) -> str:
    if isinstance(clause, Triple):
        subject, end = _term_said(clause.subject, graph), _term_said(clause.object, graph)
        return f"{graph.relation_label(clause.relation)} of {subject} is {end}"
    if isinstance(clause, OfType):
        return f"?{clause.var} is of type {graph.type_label(clause.type)} ({clause.type})"
    if isinstance(clause, Prefix):
        return f"?{clause.var} begins with {clause.text!r} ({clause.language})"
    ends = [("from", clause.min), ("to", clause.max)]
    said = " ".join(f"{word} {bound}" for word, bound in ends if bound is not None)
    return f"?{clause.var} is {said or 'any number or date'}"


def _term_said(term: Term, graph: KnowledgeGraph) -> str:
    if term.var is not None:
        return f"?{term.var}"
    if term.id is not None:
        return f"{graph.label(term.id)} ({term.id})"
    literal = term.literal
    return f"{literal.value} {literal.unit}".rstrip() if literal else ""
