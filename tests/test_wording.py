"""Questions as sentences: expectations are written by hand."""

import random

import pytest

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.worlds.schema import RELATIONS
from webfarer.synth.grammar import phrase
from webfarer.synth.wording_en import EnglishWording as Wording
from webfarer.types import Value


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.id)
def test_labels_of_procedural_worlds_are_noun_phrases(relation):
    label = relation.labels["en"]
    assert phrase(label).of("X") == f"the {label} of X"
    assert relation.value != "entity" or phrase(label).having("Y") == f"whose {label} is Y"


LABELS = [  # label, "of" an X, having Y
    ("director", "the director of X", "whose director is Y"),
    ("place of birth", "the place of birth of X", "whose place of birth is Y"),
    ("educated at", "the one that X is educated at", "that is educated at Y"),
    ("part of", "the one that X is part of", "that is part of Y"),
    ("member of", "the one that X is a member of", "that is a member of Y"),
    (
        "member of political party",
        "the political party that X is a member of",
        "that is a member of the political party Y",
    ),
    ("shares border with", "the one that X shares border with", "that shares border with Y"),
    (
        "located in the administrative entity",
        "the administrative entity that X is located in",
        "that is located in the administrative entity Y",
    ),
    ("product or material produced", "the product or material produced by X",
     "whose product or material produced is Y"),
    ("notable works", "the notable works of X", "whose notable works include Y"),
    ("languages spoken, written, or signed", "the languages spoken, written, or signed by X",
     "whose languages spoken, written, or signed include Y"),
    ("number of pages", "the number of pages of X", "whose number of pages is Y"),
    ("drug used for treatment", "the drug used for treatment of X",
     "whose drug used for treatment is Y"),
    ("  award   received ", "the award received by X", "whose award received is Y"),
    ("bus", "the bus of X", "whose bus is Y"),
    ("职业", "the 职业 of X", "whose 职业 is Y"),
]  # fmt: skip


@pytest.mark.parametrize(("label", "of", "having"), LABELS)
def test_phrases(label, of, having):
    assert phrase(label).of("X") == of
    assert phrase(label).having("Y") == having
    kept = set(" ".join((of, having)).replace(",", "").split())
    assert set(label.replace(",", "").split()) <= kept  # pages use the label's own words


def graph():
    def thing(id, label, *types, aliases=()):
        return Entity(id, types, {"en": label}, {"en": tuple(aliases)})

    entities = [
        thing("Q5", "human"), thing("film", "film"), thing("city", "city"),
        thing("a", "Orla Venn", "Q5"), thing("b", "The Salt Road", "film"),
        thing("c", "Mere", "city"), thing("d", "Mere", "film"),
        thing("e", "Ash", "Q404", "city"), thing("f", "Ashby", "Q404", aliases=("ASH",)),
        thing("g", "Twin", "city"), thing("h", "twin", "city"),
        thing("i", "It", "film"), Entity("Q77", ("film",)), thing("l", "Lone", "Q404"),
        thing("m", "Guild"),
    ]  # fmt: skip
    labels = {"dir": "director", "edu": "educated at", "mem": "member of sports team",
              "born": "birthplace", "cast": "cast member", "len": "running time",
              "inf": "influenced by", "bor": "shares border with"}  # fmt: skip
    relations = [
        Relation(id, {"en": text}, "number" if id == "len" else "entity")
        for id, text in labels.items()
    ]
    minutes = Value(kind="number", value=90.0, unit="min")
    facts = [
        Fact("b", "dir", "a"), Fact("a", "born", "c"), Fact("a", "edu", "m"),
        Fact("a", "mem", "m"), Fact("d", "cast", "a"), Fact("d", "cast", "e"),
        Fact("b", "len", minutes), Fact("m", "inf", "a"), Fact("c", "bor", "e"),
    ]  # fmt: skip
    return KnowledgeGraph("small", entities, relations, facts)


GRAPH = graph()
WORDING = Wording(GRAPH)
FACT = {fact.relation: fact for fact in GRAPH.facts}


def asked(*chain):
    return {WORDING.chain(chain, random.Random(seed)) for seed in range(40)}


def test_chains():
    director = "the director of The Salt Road"
    forms = {f"Who is {director}?", f"Name {director}.", f"Find {director}."}
    assert asked(FACT["dir"]) == forms
    place = f"the birthplace of {director}"
    forms = {f"What is {place}?", f"Name {place}.", f"Find {place}.", f"Which is {place}?"}
    assert asked(FACT["dir"], FACT["born"]) == forms
    assert asked(FACT["dir"], FACT["edu"]) == {f"What is {director} educated at?"}
    assert asked(FACT["mem"]) == {"Which sports team is Orla Venn a member of?"}
    assert asked(FACT["inf"]) == {"Who is Guild influenced by?"}
    assert "Who is the director of the one that Orla Venn is educated at?" in asked(
        FACT["edu"], FACT["dir"]
    )
    assert "What is the birthplace of the person that Guild is influenced by?" in asked(
        FACT["inf"], FACT["born"]
    )
    assert "Find the one that the city Mere shares border with." in asked(FACT["bor"])


def test_one_relative_clause_is_enough_for_a_chain():
    assert WORDING.readable([FACT["dir"], FACT["edu"]])
    assert not WORDING.readable([FACT["edu"], FACT["inf"]])


def test_shared_names_are_told_apart_by_a_type_that_has_a_name():
    assert WORDING.mention("c") == "the city Mere"
    assert WORDING.mention("d") == "the film Mere"
    assert WORDING.mention("b") == "The Salt Road"
    # "Ash" is another name of Ashby, without regard to case; both are Q404, one is a city.
    assert WORDING.mention("e") == "the city Ash"
    assert not WORDING.ambiguous("e")
    assert WORDING.mention("f") == "Ashby"
    assert not WORDING.ambiguous("f")


def test_what_no_wording_names_is_ambiguous():
    assert WORDING.ambiguous("g")
    assert WORDING.ambiguous("h")
    assert WORDING.ambiguous("i")
    assert WORDING.ambiguous("Q77")
    assert not any(WORDING.ambiguous(id) for id in "abcdm")


def test_ids_are_no_types_a_reader_knows():
    assert WORDING.kind_of("e") == "city"
    assert WORDING.kind_of("l") is None
    assert WORDING.kind_of("m") is None


def test_constraints():
    assert WORDING.having(FACT["dir"]) == "whose director is Orla Venn"
    assert WORDING.having(Fact("d", "cast", "a")) == "with the cast member Orla Venn"
    assert WORDING.having(FACT["mem"]) == "that is a member of the sports team Guild"
    assert WORDING.having_one(FACT["dir"], FACT["born"]) == (
        "whose director has the birthplace the city Mere"
    )
    assert WORDING.having_one(FACT["dir"], FACT["edu"]) == "whose director is educated at Guild"
    assert WORDING.having_one(Fact("d", "cast", "a"), FACT["edu"]) == (
        "with a cast member that is educated at Guild"
    )
    assert WORDING.having_one(FACT["edu"], FACT["inf"]) == (
        "that is educated at one that is influenced by Orla Venn"
    )
    assert WORDING.having_one(FACT["mem"], FACT["inf"]) == (
        "that is a member of a sports team that is influenced by Orla Venn"
    )


def test_webs():
    rng = random.Random(1)
    parts = ["whose director is Orla Venn", "with the cast member Ash"]
    such = "whose director is Orla Venn, and with the cast member Ash"
    found = {WORDING.web("film", parts, None, rng) for _ in range(30)}
    assert found == {f"Which film is the one {such}?", f"Find the film {such}."}
    question = WORDING.web("Q5", parts[:1], FACT["born"], rng)
    assert question == "What is the birthplace of the person whose director is Orla Venn?"


def test_only_plain_nouns_are_asked_for_within_a_web():
    assert [r for r in GRAPH.relations if not WORDING.plain(r)] == ["edu", "mem", "inf", "bor"]
