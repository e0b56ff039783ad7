"""`LiveWeb` over a hostile server: what is said of each answer, and that nothing is kept."""

import asyncio

import pytest

from hostile import hostile, response
from webfarer.types import FailureError, Hit
from webfarer.web.http.exchange import Exchange
from webfarer.web.http.fetch import Fetcher, FetchSettings
from webfarer.web.http.live import LiveWeb

SETTINGS = FetchSettings(allow_private=True, timeout=1.0, connect_timeout=1.0, max_bytes=1 << 20)


@pytest.fixture
async def server():
    async with hostile() as running:
        yield running


@pytest.fixture
async def fetcher():
    async with Fetcher(SETTINGS) as one:
        yield one


def web(fetcher, **more):
    return LiveWeb(fetcher, **{"retries": 1, "pause": 0.0, **more})


async def test_a_page_is_read_at_the_end_of_its_redirects(server, fetcher):
    server.page("/a", "<title>Atlas</title><p>Tea grows <a href='b'>in the hills</a>.")
    page = await web(fetcher).visit(server.url("/redirect?to=/a%23part"))
    assert (page.status, page.url, page.title) == ("ok", server.url("/a"), "Atlas")
    assert page.text == "Tea grows in the hills."
    assert [link.url for link in page.links] == [server.url("/b")]


async def test_a_page_in_another_charset_is_read(server, fetcher):
    server.page("/zh", "<p>北京是中国的首都。".encode("gb18030"), "text/html; charset=gb2312")
    assert (await web(fetcher).visit(server.url("/zh"))).text == "北京是中国的首都。"


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/nowhere", "not_found", "404"),
        ("/status?code=410", "not_found", "410"),
        ("/status?code=403", "unloadable", "403"),
        ("/status?code=503", "unloadable", "503"),
        ("/bomb", "unloadable", "allowed"),
        ("/drip", "unloadable", "1 s"),
        ("/loop", "unloadable", "circle"),
        ("/garbage", "unloadable", "HTTP"),
        ("/cut-gzip", "unloadable", "cut short"),
        ("/redirect?to=file:///etc/passwd", "refused", "not a web address"),
    ],
)
async def test_what_the_web_says_is_an_observation(server, fetcher, path, status, said):
    page = await web(fetcher, retries=0).visit(server.url(path))
    assert (page.status, said in page.text) == (status, True), page
    assert "\n" not in page.text


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://a.example/", "", "no", "http://169.254.169.254/", "http://[::1]"],
)
async def test_what_may_not_be_fetched_is_refused(url):
    async with Fetcher() as fetcher:
        assert (await web(fetcher).visit(url)).status == "refused"


@pytest.mark.parametrize(
    ("content_type", "body", "status", "text"),
    [
        ("text/plain", b"line one\r\nline <two>\n", "ok", "line one\nline <two>"),
        ("application/json; charset=utf-8", b'{"a": 1}', "ok", '{"a": 1}'),
        ("text/markdown", b"# Title\n", "ok", "# Title"),
        ("text/plain", b" \n", "empty", ""),
        ("text/html", b"<p></p>", "empty", ""),
        ("application/pdf", b"%PDF-1.7", "unloadable", "application/pdf"),
        ("image/png", b"\x89PNG", "unloadable", "image/png"),
    ],
)
async def test_pages_that_are_not_html(server, fetcher, content_type, body, status, text):
    server.page("/x", body, content_type)
    page = await web(fetcher).visit(server.url("/x"))
    assert page.status == status
    assert text in page.text if status == "unloadable" else page.text == text


async def test_what_may_pass_is_asked_for_again(server, fetcher):
    for code, times in (("503", 3), ("429", 3), ("404", 1), ("403", 1)):
        server.requests.clear()
        await web(fetcher, retries=2).visit(server.url(f"/status?code={code}"))
        assert len(server.requests) == times, code
    for path, times in (("/silent-close", 3), ("/cut-gzip", 1), ("/large", 1)):
        server.requests.clear()
        await web(fetcher, retries=2).visit(server.url(path))
        assert len(server.requests) == times, path


async def test_a_page_that_comes_at_the_second_time_is_there(server, fetcher):
    server.raw("/once", response("<p>Busy.", status="503 Busy"))
    visit = asyncio.create_task(web(fetcher, pause=0.1).visit(server.url("/once")))
    while not server.requests:
        await asyncio.sleep(0.01)
    server.page("/once", "<p>Here I am.")
    assert (await visit).text == "Here I am."


async def test_impossible_that_a_redirect_leads_off_the_allow_list(server, fetcher):
    here = web(fetcher, allow=["LOCALHOST"])
    assert (await here.visit(server.url("/ok", "localhost"))).status == "ok"
    assert (await here.visit(server.url("/ok"))).status == "refused"
    there = f"/redirect?to={server.url('/gzip')}"
    assert (await here.visit(server.url(there, "localhost"))).status == "refused"
    assert server.asked("/gzip") == 0
    assert (await here.visit(server.url("\\@localhost/ok"))).status == "refused"


async def test_every_exchange_is_recorded_as_it_came(server, fetcher):
    class Kept(list[Exchange]):
        record = list.append

    kept = Kept()
    recording = web(fetcher, recorder=kept)
    await recording.visit(server.url("/redirects?n=1"))
    await recording.visit(server.url("/nowhere"))
    assert [(one.url, one.status) for one in kept] == [
        (server.url("/redirects?n=1"), 301),
        (server.url("/redirects?n=0"), 200),
        (server.url("/nowhere"), 404),
    ]


async def test_impossible_that_one_task_sees_anothers_cookies(server, fetcher):
    """Two tasks, in turn and at once, on a server that gives everyone a cookie."""
    shared = web(fetcher)
    urls = [server.url(f"/cookie?task={task}") for task in (1, 2)]
    pages = await asyncio.gather(*map(shared.visit, urls * 3))
    pages += [await shared.visit(url) for url in urls]
    assert {page.text for page in pages} == {"Your cookie is none."}
    assert all("cookie" not in asked.headers for asked in server.requests)


async def test_a_search_is_anothers_or_none(fetcher):
    async def search(queries, k):
        return [[Hit("http://a.example/", query, "")] * k for query in queries]

    hits = await web(fetcher, search=search).search(["tea", "silk"], 2)
    assert [[hit.title for hit in one] for one in hits] == [["tea"] * 2, ["silk"] * 2]
    with pytest.raises(FailureError, match="search of its own"):
        await web(fetcher).search(["tea"], 2)
