"""Pages in Chinese: of a Chinese world, and of the Wikidata excerpt read in Chinese."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.text import name_in_text, value_text
from webfarer.graph.worlds.world import build_world
from webfarer.types import Value
from webfarer.web.build import Site
from webfarer.web.html import render
from webfarer.web.phrases import Phrases
from webfarer.web.phrases_zh import ChinesePhrases, phrases_in
from webfarer.web.site import GraphWeb

WIKIDATA = Path(__file__).parents[2] / "shared/data/wikidata"


@pytest.fixture(scope="module")
def web() -> GraphWeb:
    return GraphWeb(build_world(7, 400, "zh"))


def mixed_graph(people: int = 70) -> KnowledgeGraph:
    """An imported graph of which half has Chinese labels."""
    entities = [
        Entity("c", ("city",), {"en": "Karsk", "zh": "卡尔斯克"}, {"zh": ("老城", "卡克")}),
        Entity("city", (), {"en": "city", "zh": "城市"}),
        Entity("film", (), {"en": "film", "zh": "電影"}),
        Entity("f", ("film",), {"en": "Dr. No"}, descriptions={"zh": "1962年的電影"}),
        *(Entity(f"p{i}", ("human",), {"en": f"Ann Lee {i}th"}) for i in range(people)),
    ]
    relations = [
        Relation("born", {"en": "birthplace", "zh": "出生地"}),
        Relation("in", {"en": "part of"}),
        Relation("near", {"en": "next to", "zh": "接壤"}),
        Relation("tongue", {"en": "language", "zh": "语言"}, "name"),
    ]
    facts = [Fact(f"p{i}", "born", "c") for i in range(people)]
    facts += [Fact("c", "tongue", Value(kind="name", value=f"第{n}语")) for n in range(10)]
    facts += [Fact("f", "near", "c"), Fact("p0", "in", "f"), Fact("p0", "in", "c")]
    return KnowledgeGraph("hill-land", entities, relations, facts, "zh")


def body(site: Site, entity: str) -> str:
    document = site.document(site.url_of(entity))
    assert document is not None
    return "\n".join(document.passages())


# A world's pages


def test_no_english_word_is_on_a_page(web: GraphWeb):
    name = web.graph.name.title()
    for document in web.site.documents():
        text = re.sub(r"<style>.*?</style>", "", render(document), flags=re.DOTALL)
        shown = re.sub(r"<[^>]*>", " ", text) + " ".join(re.findall(r'placeholder="([^"]*)', text))
        assert set(re.findall(r"[A-Za-z]+", shown)) <= {name, "Cookie"}
        assert '<html lang="zh">' in text


def test_every_fact_is_on_its_page_or_on_the_list_it_links(web: GraphWeb):
    graph = web.graph
    for fact in graph.facts:
        text = web.page(web.url_of(fact.subject)).text
        if isinstance(fact.object, str):
            assert name_in_text(graph, fact.object) in text
        else:
            assert value_text(fact.object, "zh") in text


def test_chinese_stands_without_spaces(web: GraphWeb):
    for url in web.site.urls():
        page = web.page(url)
        prose = [line for line in page.text.split("\n") if line[:1] not in "#|-"]
        for line in prose:
            assert not re.search("[\u4e00-\u9fff] (?!下一页|上一页|百科)[\u4e00-\u9fff]", line), (
                line
            )
            assert not re.search("[,;:!?]|[\u4e00-\u9fff]\\.", re.sub(r"\d,\d", "", line)), line


def test_what_the_document_says_survives_html_and_extraction(web: GraphWeb):
    for document in web.site.documents():
        text = web.page(web.site.base + document.url).text
        for passage in document.passages():
            assert [part for part in re.split("[、： ]", passage) if part not in text] == []


def test_every_link_can_be_visited(web: GraphWeb):
    urls = list(web.site.urls())
    assert len(set(urls)) == len(urls)
    for url in urls:
        assert url.isascii()
        for link in web.page(url).links:
            assert web.page(link.url).status == "ok", link


def test_an_address_is_one_percent_encoded_or_not(web: GraphWeb):
    url = web.url_of("city-1")
    assert unquote(url) != url
    assert web.site.canonical(unquote(url)) == url
    assert web.site.canonical(url.lower()) == url
    assert web.site.entity_at(unquote(url)) == "city-1"
    assert web.page(unquote(url)) == web.page(url)


def test_the_lead_says_what_it_is(web: GraphWeb):
    graph = web.graph
    for kind, said in {"city": "一座城市", "book": "一本书", "prize": "一个奖项"}.items():
        name = name_in_text(graph, f"{kind}-1")
        assert body(web.site, f"{kind}-1").startswith(f"{name}是{said}。")
    city = next(id for id in graph.entities if id.startswith("city-") and graph.aliases(id))
    assert f"简称{graph.aliases(city)[0]}。" in body(web.site, city)


def test_the_same_world_gives_the_same_pages(web: GraphWeb):
    again = GraphWeb(build_world(7, 400, "zh"))
    pages = [[render(page) for page in site.documents()] for site in (web.site, again.site)]
    assert pages[0] == pages[1]


# An imported graph's pages


def test_latin_words_stand_apart_from_chinese_and_numbers_do_not():
    site = Site(mixed_graph())
    assert body(site, "f").startswith("《Dr. No》是1962年的電影。")
    first = body(site, "p0")
    assert "Ann Lee 0th 的出生地是卡尔斯克。" in first or "出生地：卡尔斯克" in first
    assert phrases_in("zh").definition("Ann Lee", "人類", "") == "Ann Lee 是一位知名人物。"
    assert phrases_in("zh").definition("Washington, D.C.", "城市", "") == (
        "Washington, D.C. 是一座城市。"
    )
    assert phrases_in("zh").definition("城市", "城市", "") == "城市是一个独立的条目。"
    assert phrases_in("zh").count(1204) == "（1204）"


def test_several_values_are_one_sentence_and_long_lists_are_linked():
    site = Site(mixed_graph())
    city = site.document(site.url_of("c"))
    assert city is not None
    text = "\n".join(city.passages())
    assert "卡尔斯克简称卡克，又称老城。" in text
    assert "全部70个条目" in text
    assert "和另外2项。" in text or "、全部10项" in text
    listed = site.document(site.base + "/list/出生地/卡尔斯克?page=2")
    assert listed is not None
    assert listed.title == "以此为出生地的条目：卡尔斯克（第2页）"
    assert "第2页，共2页。 上一页" in "\n".join(listed.passages())


def test_relations_that_are_verbs_are_said_as_verbs():
    said = ChinesePhrases()
    assert said.sentence("接壤", False) == "{s}与{o}接壤。"
    assert said.subjects_of("得名于") == "得名于此的条目"
    assert said.subjects_lead(2, "Ann", "影响自") == "受 Ann 影响的条目共有2个："
    assert said.sentence("國籍", False) == "{s}的國籍是{o}。"
    assert said.sentence("职业", True) == "{s}的职业有{o}。"


def test_a_language_has_every_phrase():
    """Whatever English says is said in Chinese too, and nothing of it in English words."""
    texts = {name: value for name, value in vars(Phrases).items() if not name.startswith("_")}
    own = vars(ChinesePhrases)
    assert [name for name in texts if name not in own] == []
    assert isinstance(phrases_in("fr"), Phrases)
    assert not isinstance(phrases_in("fr"), ChinesePhrases)


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="the Wikidata excerpt is not beside the checkout")
def test_the_excerpt_reads_in_chinese():
    from webfarer.graph.files import load

    web = GraphWeb(load(WIKIDATA).in_language("zh"))
    for entity in list(web.graph.entities)[::25]:
        page = web.page(web.url_of(entity))
        assert page.status == "ok"
        assert not re.search(r" is an? | and \d| also known", page.text.split("## 简介")[0])
        assert web.site.canonical(unquote(web.url_of(entity))) == web.url_of(entity)
    assert web.page(web.url_of("Q1860")).text.startswith("# 英语\n\n英语是一种")
