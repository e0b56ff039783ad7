"""Pages as data: addresses, what stands on a page, and literals as text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.text import date_text, number_text, value_text
from webfarer.types import Value
from webfarer.web.article import BOX_CAP, LIST_CAP
from webfarer.web.build import PER_PAGE, Site
from webfarer.web.html import render
from webfarer.web.phrases import in_words, plural, with_article
from webfarer.web.urls import Address, plain_slugs, read_address, wiki_names


def small_graph(people: int = 70) -> KnowledgeGraph:
    """A city where everyone was born and that speaks ten tongues; two towns of one name."""
    tongues = [f"Tongue {letter}" for letter in "ABCDEFGHIJ"]
    entities = [
        Entity("c1", ("city",), {"en": "Karsk"}, {"en": ("Old Karsk",)}, {"en": "city on a hill"}),
        Entity("c2", ("city",), {"en": "Karsk"}),
        Entity("c3", ("city",), {"en": "Île/Été <b>&amp;"}, extracts={"en": "One.\n\nTwo."}),
        Entity("x", (), {}),
        *(Entity(f"p{i}", ("person",), {"en": f"Person {i}"}) for i in range(people)),
    ]
    sentences = {"en": ("{s} was born in {o}.",)}
    relations = [
        Relation("born", {"en": "birthplace"}, sentences=sentences, inverse={"en": "born here"}),
        Relation("tongue", {"en": "language"}, "name"),
        Relation("founded", {"en": "founding date"}, "date"),
        Relation("twin", {"en": "twinned with"}),
    ]
    facts = [Fact(f"p{i}", "born", "c1") for i in range(people)]
    facts += [Fact("c1", "tongue", Value(kind="name", value=tongue)) for tongue in tongues]
    facts += [Fact("c1", "founded", Value(kind="date", value="1912-03-04"))]
    facts += [Fact("c1", "twin", "c2"), Fact("c1", "twin", "c1")]
    return KnowledgeGraph("hill-land", entities, relations, facts)


@pytest.fixture
def site() -> Site:
    return Site(small_graph())


def body(site: Site, url: str) -> str:
    document = site.document(url)
    assert document is not None
    return "\n".join(document.passages())


def test_dates_are_written_with_the_precision_they_have():
    assert date_text("1912-03-04") == "4 March 1912"
    assert date_text("1912-03") == "March 1912"
    assert date_text("1912") == "1912"
    assert date_text("-0043-03-15") == "15 March 44 BC"  # ISO 8601: year 0 is 1 BC
    assert date_text("0000") == "1 BC"
    assert [date_text(text) for text in ("", "soon", "1912-13")] == ["", "soon", "1912-13"]


def test_numbers_are_grouped_and_keep_their_unit():
    assert value_text(Value(kind="number", value=1204.0, unit="km")) == "1,204 km"
    assert value_text(Value(kind="number", value=1204.0)) == "1,204"
    assert value_text(Value(kind="number", value=-1234.5, unit="m")) == "-1,234.5 m"
    assert value_text(Value(kind="name", value="O'Hara")) == "O'Hara"


@given(st.floats(allow_nan=False))
def test_a_number_reads_back_as_it_was(number: float):
    assert float(number_text(number).replace(",", "")) == number


def test_equal_labels_get_their_type_and_then_a_number():
    names = wiki_names([("a", "Rhe", "town"), ("b", "rhe", "town"), ("c", "Rhe", "town")])
    assert [name.title for name in names.values()] == ["Rhe", "rhe (town)", "Rhe (town) 2"]
    assert [name.slug for name in names.values()] == ["Rhe", "rhe_(town)", "Rhe_(town)_2"]
    assert list(plain_slugs([("1", "Part of"), ("2", "part-of"), ("3", "!")]).values()) == [
        "part-of", "part-of-2", "other",
    ]  # fmt: skip


@given(st.lists(st.text(), max_size=8))
def test_every_label_has_an_address_of_its_own_that_reads_back(labels: list[str]):
    entities = [Entity(f"e{i}", ("t",), {"en": label}) for i, label in enumerate(labels)]
    entities = [entity for entity in entities if _encodable(entity.labels["en"])]
    site = Site(KnowledgeGraph("g", entities, [], []))
    urls = [site.url_of(entity.id) for entity in entities]
    assert len(set(urls)) == len(urls)
    for url, entity in zip(urls, entities, strict=True):
        assert url.isascii()
        assert site.entity_at(url) == entity.id
        assert site.canonical(url) == url


def _encodable(text: str) -> bool:
    return text.encode("utf-8", "replace").decode() == text


@pytest.mark.parametrize(
    ("spelling", "same"),
    [
        ("http://Hill-Land.example/wiki/Karsk/#top", True),
        ("https://hill-land.example:443//wiki/%4Barsk?utm=1", True),
        ("https://hill-land.example/wiki/karsk", False),
        ("https://hill-land.example.evil.org/wiki/Karsk", False),
        ("https://hill-land.example@evil.org/wiki/Karsk", False),
        ("https://user@hill-land.example/wiki/Karsk", False),
        ("https://hill-land.example:8080/wiki/Karsk", False),
        ("file:///wiki/Karsk", False),
        ("//hill-land.example/wiki/Karsk", False),
        ("http://[", False),
    ],
)
def test_one_page_has_many_spellings_but_only_on_its_host(site: Site, spelling: str, same: bool):
    assert (site.canonical(spelling) == site.url_of("c1")) is same


@given(st.text())
def test_any_text_may_be_given_as_a_url(text: str):
    read_address(text, "hill-land.example")
    Site(KnowledgeGraph("g", [], [], [])).document("https://g.example/" + text)


def test_page_numbers_are_part_of_an_address():
    read = read_address("https://h.example/list/a/b?x=1&page=3", "h.example")
    assert read == Address(("list", "a", "b"), 3)
    assert read.path == "/list/a/b?page=3"


def test_every_url_has_a_document_that_names_it(site: Site):
    urls = list(site.urls())
    assert len(set(urls)) == len(urls)
    assert [site.base + document.url for document in site.documents()] == urls


def test_every_link_leads_to_a_page(site: Site):
    for document in site.documents():
        for link in re.findall(r'<a href="([^"]*)"', render(document)):
            assert site.document(site.base + link) is not None, link


def test_every_fact_is_on_its_page_or_on_the_list_it_links():
    graph = small_graph()
    site = Site(graph)
    for fact in graph.facts:
        text = body(site, site.url_of(fact.subject))
        if fact.relation == "tongue":  # ten of them, of which the page has eight and a link
            address = site.list_address("tongue", "c1", inverse=False)
            text = body(site, site.base + address.path)
        is_entity = isinstance(fact.object, str)
        assert (graph.label(fact.object) if is_entity else value_text(fact.object)) in text


def test_some_facts_stand_only_in_prose_and_some_only_in_the_infobox():
    site = Site(small_graph(400))
    people = [site.document(site.url_of(f"p{i}")) for i in range(400)]
    boxed = [bool(document and document.infobox) for document in people]
    said = ["was born in" in "".join(document.passages()) for document in people if document]
    # 0.8 and a fact that prose left out: 0.8 + 0.2 * 0.35 = 0.87; prose 0.65. Three deviations.
    assert abs(sum(boxed) / 400 - 0.87) < 0.05
    assert abs(sum(said) / 400 - 0.65) < 0.075
    assert all(box or prose for box, prose in zip(boxed, said, strict=True))


def test_long_lists_are_cut_and_linked(site: Site):
    document = site.document(site.url_of("c1"))
    assert document is not None
    born = next(section for section in document.sections if section.heading == "Born here")
    assert len(born.blocks[0].items) == LIST_CAP
    assert born.blocks[1].runs == (("All 70 entries", "/list/birthplace/Karsk"),)
    row = next((row for row in document.infobox if row.label == "Language"), None)
    assert row is None or len(row.values) == BOX_CAP + 1
    first = site.document("https://hill-land.example/list/birthplace/Karsk")
    last = site.document("https://hill-land.example/list/birthplace/Karsk?page=2")
    assert first is not None
    assert last is not None
    assert len(first.sections[0].blocks[0].items) == PER_PAGE
    assert len(last.sections[0].blocks[0].items) == 70 - PER_PAGE
    assert site.document("https://hill-land.example/list/birthplace/Karsk?page=3") is None


def test_the_lead_says_what_it_is(site: Site):
    assert body(site, site.url_of("c1")).startswith(
        "Karsk is a city on a hill. Karsk is also known as Old Karsk."
    )
    assert "About\nOne.\nTwo." in body(site, site.url_of("c3"))
    assert body(site, site.url_of("x")) == "x is an entry of its own."


def test_text_is_escaped_in_html(site: Site):
    document = site.document(site.url_of("c3"))
    assert document is not None
    html = render(document)
    assert "<h1>Île/Été &lt;b&gt;&amp;amp;</h1>" in html
    assert "<b>" not in html


def test_the_same_graph_gives_the_same_bytes():
    first, second = Site(small_graph()), Site(small_graph())
    pages = [[render(document) for document in site.documents()] for site in (first, second)]
    assert pages[0] == pages[1]


def test_an_empty_graph_has_a_home_page():
    site = Site(KnowledgeGraph("", [], [], []))
    assert len(list(site.documents())) == 2


def test_words():
    assert [with_article(noun) for noun in ("city", "island", "university", "hour")] == [
        "a city", "an island", "a university", "an hour",
    ]  # fmt: skip
    assert [plural(noun) for noun in ("country of citizenship", "child", "notable works")] == [
        "countries of citizenship", "children", "notable works",
    ]  # fmt: skip
    assert [in_words("A"), in_words("AB"), in_words("ABC")] == ["A", "A and B", "A, B and C"]


def test_procedural_pages_have_six_facts():
    from webfarer.graph.worlds.world import build_world

    graph = build_world(5, 200)
    few = [id for id in graph.entities if len(graph.facts_of(id)) + len(graph.facts_to(id)) < 6]
    assert few == []
