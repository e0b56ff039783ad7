"""Walks: every step has one object, nothing is visited twice, what can be guessed is not asked."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.query import execute
from webfarer.graph.worlds.world import build_world
from webfarer.synth.walk import Walker, chain_query, guessable
from webfarer.types import Value

WORLD = build_world(3, 200)


def graph_of(facts, count=12):
    entities = [Entity(f"e{n}", ("thing",), {"en": f"Thing {n}"}) for n in range(count)]
    relations = [Relation(name, {"en": name}) for name in "rst"]
    return KnowledgeGraph("small", entities, relations, facts)


def test_a_walk_leads_from_fact_to_fact_and_has_one_answer():
    walker = Walker(WORLD, random.Random(1))
    for hops in (1, 2, 3):
        chains = [chain for _ in range(200) if (chain := walker.walk(hops))]
        assert len(chains) > 60
        for chain in chains:
            assert len(chain) == hops
            assert all(a.object == b.subject for a, b in itertools.pairwise(chain))
            visited = [*(fact.subject for fact in chain), chain[-1].object]
            assert len(set(visited)) == hops + 1
            assert execute(chain_query(chain), WORLD) == [chain[-1].object]
            assert chain[-1].relation not in guessable(WORLD)


def test_relations_are_asked_about_alike_however_rare():
    walker = Walker(WORLD, random.Random(1))
    asked = [chain[0].relation for _ in range(6000) if (chain := walker.walk(1))]
    shares = [asked.count(relation) / len(asked) for relation in walker.askable]
    assert min(shares) > 0.5 / len(walker.askable)
    assert max(shares) < 2 / len(walker.askable)


def test_a_relation_with_several_objects_is_no_step():
    facts = [Fact("e0", "r", "e1"), Fact("e0", "r", "e2"), Fact("e3", "r", "e4")]
    walker = Walker(graph_of(facts), random.Random(1))
    assert {walker.walk(1) for _ in range(50)} == {(facts[2],)}


def test_a_symmetric_relation_does_not_lead_back():
    facts = [Fact("e0", "r", "e1"), Fact("e1", "r", "e0"), Fact("e2", "s", "e2")]
    walker = Walker(graph_of(facts), random.Random(1))
    assert {walker.walk(2) for _ in range(50)} == {None}
    assert {fact for _ in range(50) for fact in walker.walk(1) or ()} == set(facts[:2])


def test_guessable_by_hand():
    """Of eight facts, three with one object are 37%, two are 25%, which is no more than allowed."""
    three = [Fact(f"e{n}", "r", "e0" if n < 3 else f"e{n + 1}") for n in range(8)]
    two = [Fact(f"e{n}", "s", "e0" if n < 2 else f"e{n + 1}") for n in range(8)]
    few = [Fact(f"e{n}", "t", "e0") for n in range(7)]
    graph = graph_of(three + two + few)
    assert guessable(graph) == {"r"}
    assert "r" not in Walker(graph, random.Random(1)).askable


def test_an_empty_graph_has_no_walk():
    assert Walker(graph_of([]), random.Random(1)).walk(1) is None


NODES = st.sampled_from([f"e{n}" for n in range(6)])
FACTS = st.lists(
    st.builds(
        Fact,
        NODES,
        st.sampled_from("rst"),
        NODES | st.builds(Value, kind=st.just("name"), value=st.sampled_from(["a", "b"])),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(FACTS, st.integers(1, 4), st.integers(0, 5))
def test_any_walk_of_any_graph_has_exactly_one_answer(facts, hops, seed):
    graph = graph_of(facts)
    chain = Walker(graph, random.Random(seed)).walk(hops)
    if chain is not None:
        assert execute(chain_query(chain), graph) == [chain[-1].object]
