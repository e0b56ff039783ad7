"""`HttpWeb`: what comes over HTTP is what the web gives in its own process, or we have failed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hostile import hostile_thread, response
from test_document import small_graph
from test_network import chinese_graph
from webfarer.graph.worlds.world import build_world
from webfarer.types import FailureError, Hit
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.frozen import ArchiveWeb
from webfarer.web.http.exchange import Exchange
from webfarer.web.http.fetch import FetchSettings
from webfarer.web.http.remote import HttpWeb
from webfarer.web.http.running import listening, serving
from webfarer.web.site import GraphWeb

BASE = "https://old-atlas.example"
ODD = [
    f"{BASE}/wiki/Nobody", f"{BASE}/wiki/Nobody?x=1#y", f"{BASE}/wiki/Karsk/?utm=1#top",
    "http://OLD-atlas.example:80/wiki/Karsk", f"{BASE}//wiki///Karsk", f"{BASE}/wiki/./x/../Karsk",
    f"{BASE}/wiki/%4Barsk", f"{BASE}/wiki/%ff", f"{BASE}/wiki/\u57ce \u5e02", f"{BASE}?page=2",
    f"{BASE}/search?q=karsk", f"{BASE}/robots.txt", f"{BASE}/sitemap.xml", f" {BASE}/\n",
    f"{BASE}/{'x' * 5000}", f"{BASE}/\ud800", "https://elsewhere.example/wiki/Karsk",
    f"{BASE}:8443/", "https://user@old-atlas.example/", "http://127.0.0.1/", "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data", "javascript:alert(1)", "Karsk", "", "http://[",
]  # fmt: skip
QUERIES = [
    "Karsk", "old karsk", "Person 7", "", "?", " ", "a&b=c#d%20+é", "\ud800", "安国", "一阳市 国家",
    "x" * 1000, "城市" * 500, "😀" * 1000, "q\r\nHost: evil.example",
    *(f"Person {n}" for n in range(70)),
]  # fmt: skip
QUICK = FetchSettings(timeout=0.3)


@contextmanager
def remote(web: GraphWeb) -> Iterator[HttpWeb]:
    with serving([web]) as address:
        yield HttpWeb(web.name, web.site.base, address, web.hosts, language=web.language)


@pytest.fixture(scope="module", params=["english", "chinese", "world", "network"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[GraphWeb, HttpWeb]]:
    """A web in process, and the same web over HTTP."""
    graph = {"chinese": chinese_graph, "english": small_graph}.get(
        request.param, lambda: build_world(5, 60)
    )()
    layout = "network" if request.param == "network" else "site"
    web = GraphWeb(graph, BASE, layout=layout)
    with remote(web) as over_http:
        yield web, over_http


async def test_all_pages_are_those_of_the_process(both: tuple[GraphWeb, HttpWeb]):
    here, there = both
    urls = [*here.urls(), *(f"{url}/_of_the_North" for url in here.urls()), *ODD]
    pages = await asyncio.gather(*(there.visit(url) for url in urls))
    for url, page in zip(urls, pages, strict=True):
        assert page == here.page(url), url
    assert {page.status for page in pages} == {"ok", "not_found", "refused"}


async def test_all_hits_are_those_of_the_process(both: tuple[GraphWeb, HttpWeb]):
    """Scores too, to the last bit."""
    here, there = both
    queries = [*QUERIES, *(here.graph.label(id) for id in here.graph.entities)]
    for k in (3, 10):
        assert await there.search(queries, k) == await here.search(queries, k)
    assert await there.search([], 3) == []
    assert await there.search(["a", "b"], 0) == [[], []]


def test_it_outlives_an_event_loop():
    """Every chunk of attempts runs in a loop of its own."""
    with remote(GraphWeb(small_graph(), BASE)) as web:
        for _ in range(3):
            assert asyncio.run(web.visit(f"{BASE}/")).status == "ok"
        assert not web._open


# Whose fault


async def test_a_server_that_is_down_is_a_failure_of_ours():
    with listening() as (_, address):
        pass
    web = HttpWeb("x", BASE, address, retries=1)
    with pytest.raises(FailureError, match=r"is x served at http://127\.0\.0\.1") as failed:
        await web.visit(f"{BASE}/")
    assert failed.value.kind == "web"
    with pytest.raises(FailureError) as failed:
        await web.search(["a"], 3)
    assert failed.value.kind == "search"
    assert (await web.visit("https://elsewhere.example/")).status == "refused"


async def test_a_server_of_other_webs_is_a_failure_of_ours():
    other = GraphWeb(small_graph(), "https://new-lexicon.example")
    with serving([other]) as address, pytest.raises(FailureError, match="421"):
        await HttpWeb("x", BASE, address).visit(f"{BASE}/")


class Breaks:
    """A web whose index cannot be read, and whose pages cannot."""

    name, hosts = "broken", ("old-atlas.example",)

    def respond(self, url: str) -> Exchange | None:
        raise FailureError("web", "the disk is gone")

    def urls(self) -> list[str]:
        return []

    async def search(self, queries: list[str], k: int) -> list[list[Hit]]:
        raise FailureError("search", "the index is gone")


async def test_what_breaks_behind_the_server_is_a_failure_of_ours():
    with serving([Breaks()]) as address, pytest.raises(FailureError, match="500"):
        await HttpWeb("broken", BASE, address).visit(f"{BASE}/")


async def test_passing_faults_are_tried_again_and_not_for_ever():
    with hostile_thread() as server:
        web = HttpWeb("x", BASE, server.url("").rstrip("/"), settings=QUICK, retries=2)
        server.raw("/busy", response("later", status="503 Service Unavailable"))
        server.raw("/broken", response("sorry", status="500 Internal Server Error"))
        server.raw("/mute", b"")
        for path, times in (("/busy", 3), ("/broken", 1), ("/mute", 3)):
            with pytest.raises(FailureError):
                await web.visit(BASE + path)
            assert [asked.path for asked in server.requests].count(path) == times, path


async def test_what_is_no_search_result_is_a_failure_of_ours():
    with hostile_thread() as server:
        web = HttpWeb("x", BASE, server.url("").rstrip("/"), settings=QUICK)
        for body in (
            b"<p>",
            b'{"results": 1}',
            b'{"results": [{"hits": [{"a": 1}]}]}',
            b"\xff",
            b"[]",
        ):
            server.raw("/search", response(body, "application/json"))
            with pytest.raises(FailureError, match="no search results") as failed:
                await web.search(["a"], 3)
            assert failed.value.kind == "search"


async def test_too_few_results_are_a_failure_of_ours():
    with hostile_thread() as server:
        web = HttpWeb("x", BASE, server.url("").rstrip("/"), settings=QUICK)
        server.raw("/search", response(b'{"results": []}', "application/json"))
        with pytest.raises(FailureError):
            await web.search(["a"], 3)


async def test_redirects_are_followed_on_the_web_alone_and_not_for_ever():
    with hostile_thread() as server:
        web = HttpWeb("x", BASE, server.url("").rstrip("/"), settings=QUICK)

        def leads(path: str, to: str) -> None:
            server.raw(path, response(b"", status="302 Found", headers={"Location": to}))

        leads("/out", "https://elsewhere.example/")
        leads("/in", "http://127.0.0.1/")
        leads("/file", "file:///etc/passwd")
        leads("/circle", "/circle")
        leads("/there", "/page")
        server.page("/page", "<p>Here it is.</p>")
        statuses = [(await web.visit(BASE + path)).status for path in
                    ("/out", "/in", "/file", "/circle", "/there")]  # fmt: skip
        assert statuses == ["refused", "refused", "refused", "unloadable", "ok"]
        assert (await web.visit(f"{BASE}/there")).url == f"{BASE}/page"


async def test_an_archive_over_http_says_what_was_never_recorded(tmp_path):
    html = "<html><title>安国</title><main><p>安国是一个国家。</p></main>"
    said = (("Content-Type", "text/html; charset=gb18030"),)
    page = Exchange(f"{BASE}/a", 200, said, html.encode("gb18030"))
    with Archive.create(tmp_path / "archive") as archive:
        archive.append(page)
        archive.append(Exchange(f"{BASE}/old", 301, (("Location", "/a"),)))
        archive.append(Exchange(f"{BASE}/gone", 404, (("Content-Type", "text/html"),), b"<p>No."))
    web = ArchiveWeb(Archive.open(tmp_path / "archive"))
    with serving([web]) as address:
        over_http = HttpWeb(web.name, BASE, address, web.hosts)
        for path in ("/a", "/old", "/gone"):
            assert await over_http.visit(BASE + path) == web.page(BASE + path)
        assert (await over_http.visit(f"{BASE}/never")).status == "not_archived"
        assert await over_http.search(["安国"], 3) == await web.search(["安国"], 3)
