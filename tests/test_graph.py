"""`KnowledgeGraph`: indexes, restriction, its hash, what it refuses."""

import hashlib
import json

import pytest

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.types import Value

HEIGHT = Value(kind="number", value=12.5, unit="m")


def tiny(name="tiny", aliases=None):
    return KnowledgeGraph(
        name,
        [
            Entity("b", ("t", "u", "t"), {"en": "Bé", "zh": "乙"}, aliases or {"en": ("B",)}),
            Entity(
                "a", ("t",), {"en": "A"}, descriptions={"en": "first"}, extracts={"en": "A is."}
            ),
            Entity("t", (), {"en": "thing"}),
        ],
        [
            Relation("r", {"en": "friend", "zh": "友"}, sentences={"en": ("{s} knows {o}.",)}),
            Relation("h", {}, "number", "m", inverse={"en": "As high"}),
        ],
        [
            Fact("b", "r", "a"),
            Fact("a", "h", HEIGHT),
            Fact("b", "h", HEIGHT),
            Fact("b", "r", "a"),
            Fact("b", "r", "b"),
        ],
    )


def test_facts_are_distinct_and_keep_their_order():
    assert tiny().facts == (
        Fact("b", "r", "a"), Fact("a", "h", HEIGHT), Fact("b", "h", HEIGHT), Fact("b", "r", "b"),
    )  # fmt: skip


def test_indexes():
    graph = tiny()
    assert graph.facts_of("b") == [graph.facts[0], graph.facts[2], graph.facts[3]]
    assert graph.facts_to("b") == [graph.facts[3]]
    assert graph.facts_to(Value(kind="number", value=12.5, unit="m")) == list(graph.facts[1:3])
    assert graph.facts_by_relation("r") == [graph.facts[0], graph.facts[3]]
    assert graph.objects("b", "r") == ["a", "b"]
    assert graph.subjects("h", HEIGHT) == ["a", "b"]
    assert graph.has(Fact("b", "r", "b"))
    assert not graph.has(Fact("a", "r", "b"))
    assert graph.order == {"b": 0, "a": 1, "t": 2, HEIGHT: 3}
    assert [graph.degree(name) for name in "abt"] == [2, 4, 0]  # the loop counts at both its ends


def test_types_are_listed_once_each():
    graph = tiny()
    assert graph.types == ["t", "u"]
    assert graph.of_type("t") == ["b", "a"]
    assert [graph.type_label(kind) for kind in graph.types] == ["thing", "u"]


def test_labels_fall_back():
    graph = tiny()
    assert [graph.in_language(language).label("b") for language in ("en", "zh", "fr")] == [
        "Bé",
        "乙",
        "Bé",
    ]
    assert graph.in_language("zh").relation_label("r") == "友"
    assert graph.in_language("zh").relation_label("h") == "h"
    assert graph.aliases("b") == ("B",)
    assert graph.in_language("zh").aliases("b") == ()


def test_what_is_unknown_has_no_facts():
    graph = tiny()
    assert graph.facts_of("x") == graph.facts_to("x") == graph.of_type("x") == []
    assert graph.objects("x", "r") == graph.subjects("x", "a") == graph.facts_by_relation("x") == []
    assert graph.degree("x") == 0
    with pytest.raises(KeyError):
        graph.label("x")


@pytest.mark.parametrize("fact", [Fact("x", "r", "a"), Fact("a", "x", "b"), Fact("a", "r", "x")])
def test_a_fact_that_names_the_unknown_is_refused(fact):
    graph = tiny()
    with pytest.raises(ValueError, match="does not have"):
        KnowledgeGraph("bad", graph.entities.values(), graph.relations.values(), [fact])


def test_an_id_given_twice_is_refused():
    with pytest.raises(ValueError, match=r"Entity.*'a'"):
        KnowledgeGraph("bad", [Entity("a"), Entity("a")], [], [])
    with pytest.raises(ValueError, match=r"Relation.*'r'"):
        KnowledgeGraph("bad", [], [Relation("r", {}), Relation("r", {})], [])


def test_restricted_keeps_entities_and_order():
    graph = tiny()
    part = graph.restricted("part", lambda fact: fact.relation == "r")
    assert part.name == "part"
    assert part.facts == (Fact("b", "r", "a"), Fact("b", "r", "b"))
    assert list(part.entities) == ["b", "a", "t"]
    assert part.facts_to(HEIGHT) == []
    assert graph.restricted("all", lambda fact: True).sha256 == graph.sha256 != part.sha256


def test_an_empty_graph():
    empty = KnowledgeGraph("empty", [], [], [])
    assert empty.facts == ()
    assert empty.sha256 == hashlib.sha256(b"").hexdigest()


def test_sha256_is_that_of_the_canonical_lines():
    """The lines are written out by hand; the literal hash keeps them from changing unseen."""
    lines = [
        ["b", ["t", "u", "t"], {"en": "Bé", "zh": "乙"}, {"en": ["B"]}, {}, {}],
        ["a", ["t"], {"en": "A"}, {}, {"en": "first"}, {"en": "A is."}],
        ["t", [], {"en": "thing"}, {}, {}, {}],
        ["r", "entity", "", {"en": "friend", "zh": "友"}, {"en": ["{s} knows {o}."]}, {}],
        ["h", "number", "m", {}, {}, {"en": "As high"}],
        ["b", "r", "a"],
        ["a", "h", {"kind": "number", "unit": "m", "value": 12.5}],
        ["b", "h", {"kind": "number", "unit": "m", "value": 12.5}],
        ["b", "r", "b"],
    ]
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)
    assert tiny().sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert tiny().sha256 == "160c41181ae886f65aa6fa1e2a309dfd10b0c4a239b676903d6c08af983a756a"


def test_sha256_reads_what_is_said_and_not_the_name():
    assert tiny("other").sha256 == tiny().sha256
    assert tiny(aliases={"en": ("B",), "zh": ()}).sha256 == tiny().sha256
    assert tiny(aliases={"en": ("C",)}).sha256 != tiny().sha256
    assert tiny(aliases={"zh": ("B",)}).sha256 != tiny().sha256
