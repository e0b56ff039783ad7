"""The split by entities: a hand-made graph, and the share of test facts on real ones."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.graph.files import load
from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.split import (
    EntitySplit,
    fact_split,
    path_is,
    split_entities,
    train_graph,
    valid_graph,
)
from webfarer.types import BadInput, Value

WIKIDATA = Path(__file__).parents[2] / "shared" / "data" / "wikidata"
SPLIT = EntitySplit(frozenset("ab"), frozenset("cd"), frozenset("ef"))
YEAR = Value(kind="date", value="1912")


def fact(subject, end):
    return Fact(subject, "year" if isinstance(end, Value) else "r", end)


def graph_of(facts, entities="abcdef"):
    relations = [Relation("r", {}), Relation("year", {}, "date")]
    return KnowledgeGraph("g", [Entity(name) for name in entities], relations, facts)


@pytest.mark.parametrize(
    ("subject", "end", "split"),
    [
        ("a", "b", "train"), ("a", "c", "valid"), ("c", "a", "valid"), ("c", "d", "valid"),
        ("a", "e", "test"), ("e", "a", "test"), ("c", "e", "test"), ("e", "d", "test"),
        ("a", YEAR, "train"), ("d", YEAR, "valid"), ("f", YEAR, "test"),
    ],
)  # fmt: skip
def test_a_fact_is_test_if_either_end_is_else_valid_if_either_is(subject, end, split):
    assert fact_split(fact(subject, end), SPLIT) == split


def test_a_name_literal_is_not_taken_for_an_entity():
    name = Fact("a", "year", Value(kind="name", value="e"))
    assert fact_split(name, SPLIT) == "train"


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ([("a", "b")], "train"),
        ([("a", "e"), ("e", "c"), ("f", YEAR)], "test"),
        ([("a", "e"), ("a", "b")], None),
        ([("a", "c"), ("c", YEAR)], "valid"),
        ([("a", "c"), ("c", "e")], None),
        ([], None),
    ],
)
def test_every_edge_of_a_path_has_to_be_of_its_split(path, split):
    assert path_is([fact(*ends) for ends in path], SPLIT) == split


def test_train_and_valid_graphs_omit_what_they_may_not_show():
    facts = [fact(*ends) for ends in ["ab", "ac", "ae", "ce", "dd", ("b", YEAR), ("f", YEAR)]]
    graph = graph_of(facts)
    assert train_graph(graph, SPLIT).facts == (facts[0], facts[5])
    assert valid_graph(graph, SPLIT).facts == (facts[0], facts[1], facts[4], facts[5])
    assert list(train_graph(graph, SPLIT).entities) == list("abcdef")
    assert train_graph(graph, SPLIT).name == graph.name


def test_the_train_graph_holds_no_prose_about_held_out_entities():
    graph = graph_of([fact("a", "b")])
    told = {e: replace(graph.entities[e], extracts={"en": f"About {e}."}) for e in graph.entities}
    graph = KnowledgeGraph(graph.name, told.values(), graph.relations.values(), graph.facts)
    hidden = SPLIT.valid | SPLIT.test
    for id, entity in train_graph(graph, SPLIT).entities.items():
        assert bool(entity.extracts) == (id not in hidden)


def ring(size, extra=()):
    names = [f"q{at}" for at in range(size)]
    facts = [Fact(name, "r", names[at - 1]) for at, name in enumerate(names)]
    return graph_of([*facts, *extra], [*names, "hub", "alone"])


def test_every_entity_with_facts_is_in_one_part_and_hubs_are_train():
    spokes = [Fact(f"q{at}", "r", "hub") for at in range(60)]
    graph = ring(60, spokes)
    for seed in range(40):
        split = split_entities(graph, seed, hub=59)
        parts = [split.train, split.valid, split.test]
        assert sum(map(len, parts)) == 61 == len(frozenset().union(*parts))
        assert "hub" in split.train
    assert any("hub" not in split_entities(graph, seed, hub=60).train for seed in range(40))


@given(st.integers(0, 50), st.integers(5, 60))
def test_adding_entities_moves_no_other(seed, size):
    small, large = split_entities(ring(size), seed), split_entities(ring(2 * size), seed)
    for part in ("train", "valid", "test"):
        kept = {name for name in getattr(large, part) if int(name[1:]) < size}
        assert kept == getattr(small, part)


def test_shares_are_those_asked_for():
    """4,000 draws: 0.1 and 0.2 within four standard deviations of a binomial."""
    split = split_entities(ring(4000), seed=3)
    assert len(split.valid) == pytest.approx(400, abs=4 * (4000 * 0.1 * 0.9) ** 0.5)
    assert len(split.test) == pytest.approx(800, abs=4 * (4000 * 0.2 * 0.8) ** 0.5)
    assert split != split_entities(ring(4000), seed=4)
    everything = split_entities(ring(50), seed=0, valid=0, test=0)
    assert len(everything.train) == 50


@pytest.mark.parametrize(("valid", "test"), [(-0.1, 0.2), (0.5, 0.5), (0.1, float("nan"))])
def test_shares_that_leave_nothing_are_refused(valid, test):
    with pytest.raises(BadInput, match="less than 1"):
        split_entities(ring(5), 0, valid, test)


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="the Wikidata excerpt is not beside the checkout")
def test_a_quarter_of_real_facts_are_test():
    graph = load(WIKIDATA)
    carrying = {end for each in graph.facts for end in (each.subject, each.object)}
    for seed in range(3):
        split = split_entities(graph, seed)
        assert split.train | split.valid | split.test == carrying
        shares = Counter(fact_split(each, split) for each in graph.facts)
        assert 0.20 < shares["test"] / len(graph.facts) < 0.35
        train, valid = train_graph(graph, split), valid_graph(graph, split)
        assert len(train.facts) == shares["train"]
        assert len(valid.facts) == shares["train"] + shares["valid"]
        for name in split.test:
            assert not train.degree(name)
            assert not valid.degree(name)
        assert not any(train.degree(name) for name in split.valid)
