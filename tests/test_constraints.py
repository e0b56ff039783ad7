"""Webs of constraints: one answer, nothing that is not needed, a way in, all of it on pages."""

import random
import re

import pytest

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.query import execute
from webfarer.graph.worlds.world import build_world
from webfarer.synth.constraints import LEAST, MOST, Puzzler
from webfarer.synth.walk import guessable
from webfarer.synth.wording_en import EnglishWording as Wording
from webfarer.types import OfType, Prefix, Query, Range, Triple, Value

WORLD = build_world(2, 150)


def puzzles(graph, draws, seed=1, keep=lambda fact: True):
    puzzler = Puzzler(graph, Wording(graph), random.Random(seed), keep)
    return [puzzle for _ in range(draws) if (puzzle := puzzler.puzzle())]


def groups(query):
    """The clauses of each constraint: those that share a variable other than x, or stand alone;
    without the type and what is asked for."""
    found = []
    for clause in query.where:
        if isinstance(clause, OfType):
            continue
        if isinstance(clause, Triple) and clause.object.var == query.select:
            continue
        starts = isinstance(clause, Prefix) or (
            isinstance(clause, Triple) and clause.subject.var == "x"
        )
        found.append([clause]) if starts else found[-1].append(clause)
    return found


MADE = puzzles(WORLD, 400)


def test_every_puzzle_has_one_answer_and_some_ask_for_an_attribute():
    assert len(MADE) > 150
    for puzzle in MADE:
        assert execute(puzzle.query, WORLD) == [puzzle.answer]
        assert execute(puzzle.query.model_copy(update={"select": "x"}), WORLD) != []
    asking = [puzzle for puzzle in MADE if puzzle.query.select == "y"]
    assert 0.2 < len(asking) / len(MADE) < 0.8


def test_every_constraint_is_needed():
    for puzzle in MADE:
        query = puzzle.query.model_copy(update={"select": "x"})
        parts = groups(puzzle.query)
        (target,) = execute(query, WORLD)
        assert LEAST <= len(parts) <= MOST
        kind = query.where[0]
        for left_out in parts if len(parts) > LEAST else []:
            kept = [clause for part in parts if part is not left_out for clause in part]
            answers = execute(Query(select="x", where=(kind, *kept)), WORLD)
            assert target in answers
            assert len(answers) > 1


def test_no_two_constraints_rest_on_one_fact():
    for puzzle in MADE:
        asked = puzzle.facts[:-1] if puzzle.query.select == "y" else puzzle.facts
        assert len(set(puzzle.facts)) == len(puzzle.facts)
        assert all(WORLD.has(fact) for fact in asked)


def test_there_is_a_way_in():
    """A constraint names an entity, on whose page the search can begin."""
    for puzzle in MADE:
        assert any(isinstance(c, Triple) and c.object.id is not None for c in puzzle.query.where)


def test_what_can_be_guessed_is_not_asked_for():
    known = guessable(WORLD)
    assert known
    for puzzle in MADE:
        assert puzzle.query.select == "x" or puzzle.query.where[-1].relation not in known


def test_bounds_hold_and_are_loose():
    bounds = [clause for p in MADE for clause in p.query.where if isinstance(clause, Range)]
    assert bounds
    assert all((clause.min is None) != (clause.max is None) for clause in bounds)
    for puzzle in MADE:
        ends = sum(isinstance(clause, Range) for clause in puzzle.query.where)
        said = re.findall(r"is (?:at least|at most|before|in \d+ or later)\b", puzzle.question)
        assert len(said) == ends


def test_beginnings_are_told_as_they_are_checked():
    for puzzle in MADE:
        for clause in puzzle.query.where:
            if isinstance(clause, Prefix):
                assert f"\u201c{clause.text}\u201d" in puzzle.question
                assert clause.text == clause.text.strip() != ""


def test_facts_that_may_not_be_used_are_not():
    def keep(fact):
        return fact.relation not in ("born_in", "director") and fact.subject != "city-1"

    made = puzzles(WORLD, 300, keep=keep)
    assert made
    assert all(keep(fact) for puzzle in made for fact in puzzle.facts)
    for puzzle in made:  # the proof is still over the whole graph
        assert execute(puzzle.query, WORLD) == [puzzle.answer]
    assert puzzles(WORLD, 20, keep=lambda fact: False) == []


def small(count, objects=1, kind="city"):
    """Some of a kind, each with a founder and a founding year of its own."""
    entities = [Entity(f"c{n}", (kind,), {"en": f"Place {n}"}) for n in range(count)]
    entities += [Entity(f"p{n}", (), {"en": f"Person {n}"}) for n in range(count * objects)]
    facts = [
        Fact(f"c{n}", "founder", f"p{n * objects + m}")
        for n in range(count)
        for m in range(objects)
    ]
    facts += [
        Fact(f"c{n}", "year", Value(kind="date", value=f"{1500 + 10 * n}")) for n in range(count)
    ]
    relations = [Relation("founder", {"en": "founder"}), Relation("year", {"en": "year"}, "date")]
    return KnowledgeGraph("small", entities, relations, facts)


@pytest.mark.parametrize(
    ("graph", "any_made"),
    [
        (small(5), True),
        (small(3), False),  # of three one is guessed too easily
        (small(5, kind="Q1"), False),  # an id is no kind that a question can name
        (small(5, objects=9), False),  # nine founders go on to a page of their own
        (small(5, objects=8), True),
        (KnowledgeGraph("empty", [], [], []), False),
    ],
)
def test_graphs_without_a_fair_question_give_none(graph, any_made):
    assert bool(puzzles(graph, 60)) == any_made
