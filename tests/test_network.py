"""`NetworkSite`: a graph's pages on many hosts, several levels deep, and all of them reachable."""

import re
from urllib.parse import unquote, urlsplit

import pytest

from test_document import small_graph
from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.worlds.world import build_world
from webfarer.web.network import NetworkSite
from webfarer.web.site import GraphWeb

PORTAL = "https://old-atlas.example"


def chinese_graph() -> KnowledgeGraph:
    """Sixty cities with first characters of their own, in one country."""
    cities = [Entity(f"c{n}", ("city",), {"zh": f"{chr(0x4E00 + 7 * n)}阳市"}) for n in range(60)]
    country = Entity("n", ("country",), {"zh": "安国", "en": "Anland"})
    words = [Entity("city", (), {"en": "city", "zh": "城市"}),
             Entity("country", (), {"en": "country", "zh": "国家"})]  # fmt: skip
    facts = [Fact(f"c{n}", "in", "n") for n in range(60)]
    relation = Relation("in", {"en": "country", "zh": "国家"})
    return KnowledgeGraph("安", [*cities, country, *words], [relation], facts, "zh")


@pytest.fixture(scope="module", params=["procedural", "chinese", "small"])
def web(request: pytest.FixtureRequest) -> GraphWeb:
    graphs = {
        "procedural": lambda: build_world(5, 60),
        "chinese": chinese_graph,
        "small": small_graph,
    }
    return GraphWeb(graphs[request.param](), PORTAL, layout="network")


def test_links_alone_lead_from_the_portal_to_every_page(web: GraphWeb):
    seen, waiting = set(), [f"{PORTAL}/"]
    while waiting:
        url = waiting.pop()
        if url not in seen:
            page = web.page(url)
            assert page.status == "ok", url
            assert page.url == url
            seen.add(url)
            waiting += [link.url for link in page.links]
    assert seen == set(web.urls())
    assert len(list(web.urls())) == len(seen)


def test_every_entity_has_one_page_on_the_host_of_its_type(web: GraphWeb):
    site = web.site
    assert isinstance(site, NetworkSite)
    for id in web.graph.entities:
        url = site.url_of(id)
        assert site.entity_at(url) == id
        assert web.page(url).title == site.title_of(id)
        host = urlsplit(url).hostname
        assert host in web.hosts
        assert host != web.hosts[0]
        first, two, _ = (unquote(part) for part in urlsplit(url).path[1:].split("/"))
        label = re.sub(r"\W", "", web.graph.label(id).casefold()).replace("î", "i")
        assert label.startswith(two)
        assert two.startswith(first)


def test_hosts_are_called_in_english_or_by_a_name_that_dns_takes():
    """The second by hand: Python's punycode codec."""
    chinese = GraphWeb(build_world(5, 60, language="zh"), PORTAL, layout="network")
    english = GraphWeb(build_world(5, 60), PORTAL, layout="network")
    assert chinese.hosts == english.hosts
    words = [Entity("a", ("词语",), {"zh": "甲"}), Entity("b", ("两 词",), {"zh": "乙"}),
             Entity("c", ("、",), {"zh": "丙"})]  # fmt: skip
    named = GraphWeb(KnowledgeGraph("词", words, [], [], "zh"), PORTAL, layout="network")
    codes = [f"xn--{word.encode('punycode').decode()}" for word in ("词语", "两-词")]
    assert [host.partition(".")[0] for host in named.hosts[1:3]] == codes
    assert named.hosts[3].startswith("other")
    assert all(named.page(named.url_of(id)).status == "ok" for id in "abc")


def test_hosts_are_names_that_dns_takes(web: GraphWeb):
    for host in web.hosts:
        assert re.fullmatch(r"(?:[a-z0-9-]{1,63}\.)+example", host)


def test_a_page_leads_back_up_level_by_level(web: GraphWeb):
    entity = next(iter(web.graph.entities))
    url = web.url_of(entity)
    html = web.html(url) or ""
    (trail,) = re.findall(r'<nav class="breadcrumb">(.*)</nav>', html)
    ways = re.findall(r'href="([^"]+)"', trail)
    origin = f"https://{urlsplit(url).hostname}"
    first, two, _ = urlsplit(url).path[1:].split("/")
    assert ways == [f"{PORTAL}/", f"{origin}/", f"{origin}/{first}", f"{origin}/{first}/{two}"]
    assert "breadcrumb" not in (web.html(f"{PORTAL}/") or "")


def test_long_lists_lie_below_their_page():
    web = GraphWeb(small_graph(), PORTAL, layout="network")
    lists = [url for url in web.urls() if "/list/" in url]
    assert [urlsplit(url).query for url in lists] == ["", "page=2"]  # 70 people, 50 a page
    assert lists[0].startswith(web.url_of("c1") + "/list/")
    assert len(web.page(lists[1]).links) >= 20
    assert web.page(lists[0] + "?page=3").status == "not_found"


def test_letters_of_a_chinese_host_are_paged():
    """Sixty first characters, fifty a page: counted by hand."""
    web = GraphWeb(chinese_graph(), PORTAL, layout="network")
    first = web.page("https://city.old-atlas.example/")
    second = web.page("https://city.old-atlas.example/?page=2")
    assert first.text.count("（1）") == 50
    assert second.text.count("（1）") == 10
    assert first.title == "城市"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://city.old-atlas.example/", "ok"),
        ("http://CITY.old-atlas.example:80/?x=1#y", "ok"),
        ("https://old-atlas.example/wiki/Karsk", "not_found"),
        ("https://old-atlas.example/k", "not_found"),
        ("https://city.old-atlas.example/categories", "not_found"),
        ("https://city.old-atlas.example/k/ka/Nobody", "not_found"),
        ("https://person.old-atlas.example/k/ka/Karsk", "not_found"),
        ("https://city.old-atlas.example/x/ka/Karsk", "not_found"),
        ("https://city.old-atlas.example/k/ka/Karsk/list/none", "not_found"),
        ("https://city.old-atlas.example/k/ka/Karsk/list", "not_found"),
        ("https://city.old-atlas.example/k/ka/Karsk?page=2", "not_found"),
        ("https://city.old-atlas.example/?page=9", "not_found"),
        ("https://planet.old-atlas.example/", "refused"),
        ("https://old-atlas.example.evil.example/", "refused"),
        ("https://city.old-atlas.example:8443/", "refused"),
        ("file:///etc/passwd", "refused"),
        ("https://[", "refused"),
        ("https://city.old-atlas.example/\ud800", "refused"),
    ],
)
def test_what_is_no_page_is_said_to_be_none(url: str, status: str):
    web = GraphWeb(small_graph(), PORTAL, layout="network")
    assert web.page(url).status == status


async def test_search_gives_addresses_of_the_network(web: GraphWeb):
    entity = next(iter(web.graph.entities))
    (hits,) = await web.search([web.graph.label(entity)], 3)
    assert web.url_of(entity) in [hit.url for hit in hits]
