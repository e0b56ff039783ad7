"""The split by entities: a hand-made graph, and the share of test facts on real ones."""

import re
from collections import Counter
from dataclasses import replace
from functools import cache
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
from webfarer.web.site import GraphWeb

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
    texts = {"en": "It is old.", "zh": "\u53e4\u8001"}
    told = {
        name: replace(entity, extracts=texts, descriptions=texts)
        for name, entity in graph.entities.items()
    }
    graph = KnowledgeGraph(graph.name, told.values(), graph.relations.values(), graph.facts)
    hidden = SPLIT.valid | SPLIT.test
    for id, entity in train_graph(graph, SPLIT).entities.items():
        assert entity.extracts == entity.descriptions == ({} if id in hidden else texts)


ORLA = Entity(
    "e", (), {"en": "Orla Venn", "zh": "\u5965\u62c9"}, {"en": ("O. V. Kess", "It")},
)  # fmt: skip


@pytest.mark.parametrize(
    ("language", "text", "stays"),
    [
        ("en", "1984 film by Orla Venn", False),
        ("en", "A film. It is ORLA\nVENN's first.", False),
        ("en", "A film by o. v.  kess.", False),
        ("en", "A film by Orla Venner", True),  # no whole word
        ("en", "It rained in 1984.", True),  # too short to name anything
        ("zh", "\u7531\u5965\u62c9\u6267\u5bfc", False),  # no spaces
        ("zh", "\u4e00\u90e8\u7535\u5f71", True),
        ("fr", "Un film de 1984", False),  # who knows what she is called there
    ],
)
@pytest.mark.parametrize("ends", ["ae", "ea"])
def test_no_prose_names_the_other_end_of_a_left_out_fact(language, text, stays, ends):
    told = Entity("a", (), {"en": "Rain"}, {}, {language: text}, {language: text})
    others = [ORLA if name == "e" else Entity(name) for name in "bcdef"]
    relations = [Relation("r", {})]
    graph = KnowledgeGraph("g", [told, *others], relations, [fact(*ends), fact("a", "b")])
    for part in (train_graph, valid_graph):
        left = part(graph, SPLIT).entities["a"]
        assert left.descriptions == left.extracts == ({language: text} if stays else {})
    assert graph.entities["a"] is told
    untied = KnowledgeGraph("g", [told, *others], relations, [fact("a", "b")])
    assert train_graph(untied, SPLIT).entities["a"] == told


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


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="the Wikidata excerpt is not beside the checkout")
def test_no_prose_of_the_real_train_web_states_a_hidden_fact():
    """Looked for with word bounds in the text as it stands; pages show no more than the graph."""
    graph = load(WIKIDATA)
    split = split_entities(graph, 1)
    train = train_graph(graph, split)
    stated = dropped = 0
    for each in graph.facts:
        if isinstance(each.object, str) and fact_split(each, split) != "train":
            for one, other in ((each.subject, each.object), (each.object, each.subject)):
                before, after = prose(graph, one), prose(train, one)
                dropped += len(after) < len(before)
                stated += any(named(graph.entities[other], text) for text in after)
    assert dropped > 1000
    assert stated == 0
    web, pages = GraphWeb(train), 0
    for name, entity in list(graph.entities.items())[::25]:
        gone = [text for text in prose(graph, name) if text not in prose(train, name)]
        page = web.page(web.url_of(name)).text
        types = [graph.type_label(kind) for kind in entity.types]  # which may say the same
        assert not any(text.split("\n")[0] in page for text in gone if text not in types)
        pages += bool(gone)
    assert pages > 30
    kept = sum(bool(prose(train, name)) for name in split.train)
    assert kept > 0.9 * sum(bool(prose(graph, name)) for name in split.train)


def prose(graph, name):
    entity = graph.entities[name]
    return [*entity.descriptions.values(), *entity.extracts.values()]


@cache
def pattern(names):
    return re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names), re.IGNORECASE)


def named(entity, text):
    names = [*entity.labels.values(), *(a for some in entity.aliases.values() for a in some)]
    names = tuple(name for name in names if sum(map(str.isalnum, name)) > 2)
    return bool(names) and pattern(names).search(text) is not None
