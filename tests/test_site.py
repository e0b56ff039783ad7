"""`GraphWeb`: visiting and searching a web made from a graph, end to end."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from test_document import small_graph
from webfarer.graph.graph import KnowledgeGraph
from webfarer.web.base import Web
from webfarer.web.site import GraphWeb

WIKIDATA = Path(__file__).parents[2] / "shared/data/wikidata"


@pytest.fixture(scope="module")
def web() -> GraphWeb:
    return GraphWeb(small_graph())


def as_web(web: Web) -> Web:
    return web


async def test_a_page_is_visited_through_html(web: GraphWeb):
    page = await as_web(web).visit(web.url_of("c1"))
    assert page.status == "ok"
    assert page.title == "Karsk"
    assert page.text.startswith("# Karsk\n\nKarsk is a city on a hill.")
    assert "- Person 11\n\nAll 70 entries" in page.text
    assert "4 March 1912" in page.text
    assert page.links[0].url.startswith("https://hill-land.example/")


async def test_navigation_and_clutter_are_in_the_html_but_not_in_the_page(web: GraphWeb):
    html = web.html(web.url_of("p1")) or ""
    text = (await web.visit(web.url_of("p1"))).text
    for clutter in ("cookies", "Popular pages", "Home", "Privacy", "Accept"):
        assert clutter in html
        assert clutter not in text


async def test_what_the_document_says_survives_html_and_extraction(web: GraphWeb):
    for document in web.site.documents():
        text = web.page(web.site.base + document.url).text
        for passage in document.passages():
            words = passage.replace(",", " ").replace(": ", " ").split()
            assert [word for word in words if word not in text and word != "|"] == []


async def test_every_link_of_every_page_can_be_visited(web: GraphWeb):
    for url in web.site.urls():
        for link in (await web.visit(url)).links:
            assert (await web.visit(link.url)).status == "ok", link


async def test_an_unknown_page_is_not_found(web: GraphWeb):
    page = await web.visit("https://hill-land.example/wiki/Nobody")
    assert page.status == "not_found"
    assert "404" in page.text


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://127.0.0.1/wiki/Karsk",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1",
        "https://elsewhere.example/wiki/Karsk",
        "https://hill-land.example@10.0.0.1/wiki/Karsk",
        "javascript:alert(1)",
        "Karsk",
        "",
        "http://[",
        "\ud800",
    ],
)
async def test_no_file_private_address_or_other_host_is_ever_fetched(web: GraphWeb, url: str):
    assert (await web.visit(url)).status == "refused"
    assert web.html(url) is None


async def test_spellings_of_one_url_are_one_page(web: GraphWeb):
    plain = await web.visit("https://hill-land.example/wiki/Karsk")
    assert await web.visit("http://hill-land.example/wiki/Karsk/#x") is plain


async def test_search_answers_each_query(web: GraphWeb):
    first, second, none = await web.search(["Person 7", "old karsk", "?"], 2)
    assert first[0].url == web.url_of("p7")
    assert second[0].url == web.url_of("c1")
    assert none == []


async def test_no_state_is_shared_between_rollouts(web: GraphWeb):
    """Whatever one reader did, another is given what a fresh web gives, in any order, at once."""
    fresh = GraphWeb(small_graph(), cache=2)
    urls = list(web.site.urls())
    there = await asyncio.gather(*(web.visit(url) for url in urls))
    back = await asyncio.gather(*(fresh.visit(url) for url in reversed(urls)))
    assert there == back[::-1]
    with ThreadPoolExecutor(4) as pool:
        new = GraphWeb(small_graph())
        found = list(pool.map(lambda n: new.index.search(f"Person {n}", 3), range(40)))
    assert found == [web.index.search(f"Person {n}", 3) for n in range(40)]


async def test_an_empty_graph_is_a_web_with_nothing_to_find():
    web = GraphWeb(KnowledgeGraph("void", [], [], []))
    assert (await web.visit("https://void.example/")).status == "ok"
    assert await web.search(["anything"], 3) == [[]]


def test_nearly_every_label_of_a_procedural_world_comes_first():
    from webfarer.graph.worlds.world import build_world

    web = GraphWeb(build_world(11, 400))
    first = [web.index.search(web.graph.label(id), 1)[0].url for id in web.graph.entities]
    right = sum(url == web.url_of(id) for url, id in zip(first, web.graph.entities, strict=True))
    assert right >= 0.99 * len(first)


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="the Wikidata excerpt is not beside the checkout")
def test_labels_of_the_wikidata_excerpt_are_found():
    from webfarer.graph.files import load

    web = GraphWeb(load(WIKIDATA))
    found = [
        web.url_of(id) in [hit.url for hit in web.index.search(web.graph.label(id), 3)]
        for id in web.graph.entities
    ]
    assert sum(found) >= 0.99 * len(found)
    assert web.page(web.url_of("Q16")).text.startswith("# Canada")
