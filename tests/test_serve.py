"""Webs over HTTP: whose site is asked for, what is sent, and what a server adds."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from commands import Webfarer
from test_document import small_graph
from test_network import chinese_graph
from webfarer.types import BadInput
from webfarer.web.extract import extract
from webfarer.web.http import serve
from webfarer.web.http.exchange import Exchange
from webfarer.web.http.running import listening, serving
from webfarer.web.http.serve import WebServer
from webfarer.web.site import GraphWeb

ATLAS, LEXICON = "old-atlas.example", "new-lexicon.example"


class Pages:
    """A web of given exchanges, as an archive has them."""

    language = "en"

    def __init__(self, *exchanges: Exchange, hosts=("pages.example",), name="pages") -> None:
        self.exchanges = {exchange.url: exchange for exchange in exchanges}
        self.hosts, self.name = hosts, name

    def respond(self, url):
        return self.exchanges.get(url)

    def urls(self):
        return list(self.exchanges)

    async def search(self, queries, k):
        return [[] for _ in queries]

    async def visit(self, url):
        raise AssertionError("only what is missing is visited")


@pytest.fixture(scope="module")
def atlas() -> GraphWeb:
    return GraphWeb(small_graph(), f"https://{ATLAS}")


@pytest.fixture(scope="module")
def lexicon() -> GraphWeb:
    return GraphWeb(chinese_graph(), f"https://{LEXICON}", layout="network")


@pytest.fixture(scope="module")
def client(atlas: GraphWeb, lexicon: GraphWeb) -> Iterator[httpx.Client]:
    with serving([atlas, lexicon]) as address, httpx.Client(base_url=address) as client:
        yield client


def get(client: httpx.Client, url: str, **headers: str) -> httpx.Response:
    """Asks for a URL by its host, as a resolver that knew it would."""
    parts = httpx.URL(url)
    return client.get(parts.raw_path.decode(), headers={"host": parts.netloc.decode(), **headers})


@pytest.mark.parametrize("which", ["atlas", "lexicon"])
def test_every_page_is_sent_byte_for_byte(which: str, client, request: pytest.FixtureRequest):
    web = request.getfixturevalue(which)
    for url in web.urls():
        answer = get(client, url)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.content == web.html(url).encode()


def test_other_spellings_lead_to_the_one(client, atlas: GraphWeb):
    answer = get(client, f"https://{ATLAS}/wiki//Karsk/?x=1")
    assert (answer.status_code, answer.headers["location"]) == (301, atlas.url_of("c1"))


def test_head_says_the_same_and_sends_nothing(client):
    got = get(client, f"https://{ATLAS}/")
    head = client.head("/", headers={"host": ATLAS})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


def test_only_get_and_head_are_answered(client):
    answer = client.post("/", headers={"host": ATLAS}, content=b"x" * 1000)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_what_is_not_there_is_404_with_a_page_that_says_so(client):
    answer = get(client, f"https://{ATLAS}/wiki/Nobody")
    assert (answer.status_code, answer.headers["webfarer-status"]) == (404, "not_found")
    assert "there is no page" in extract(answer.text, "https://x.example/").text


@pytest.mark.parametrize(
    ("host", "status"),
    [(f"{ATLAS}:8000", 200), (ATLAS.upper(), 200), ("evil.example", 421),
     (f"x.{ATLAS}", 421), (f"planet.{LEXICON}", 421), (f"city.{LEXICON}", 200)],
)  # fmt: skip
def test_a_site_is_asked_for_by_its_own_name(client, host: str, status: int):
    assert client.get("/", headers={"host": host}).status_code == status


def test_search_answers_a_program_with_json(client, atlas: GraphWeb):
    answer = get(client, f"https://{ATLAS}/search?q=Person+7&q=&q=old%20karsk&k=2",
                 accept="application/json")  # fmt: skip
    results = answer.json()["results"]
    assert [result["query"] for result in results] == ["Person 7", "", "old karsk"]
    hits = results[0]["hits"]
    (expected,) = [atlas.index.search("Person 7", 2)]
    assert [(hit["url"], hit["score"]) for hit in hits] == [(h.url, h.score) for h in expected]
    assert results[1]["hits"] == []


def test_search_answers_a_person_with_a_page(client, atlas: GraphWeb):
    page = extract(get(client, f"https://{ATLAS}/search?q=karsk").text, f"https://{ATLAS}/search")
    assert atlas.url_of("c1") in [link.url for link in page.links]
    nothing = extract(get(client, f"https://{ATLAS}/search?q=%3F").text, f"https://{ATLAS}/search")
    assert "Nothing was found." in nothing.text


@pytest.mark.parametrize("query", ["q=a&k=0", "q=a&k=x", "q=a&k=99999", "q=a&" * 51, "k=%D9%A3"])
def test_a_search_that_makes_no_sense_is_refused(client, query: str):
    assert get(client, f"https://{ATLAS}/search?{query}").status_code == 400


def test_robots_and_site_map_name_every_page_of_the_host(client, lexicon: GraphWeb):
    base = f"https://city.{LEXICON}"
    assert get(client, f"{base}/robots.txt").text == (
        f"User-agent: *\nAllow: /\n\nSitemap: {base}/sitemap.xml\n"
    )
    listed = _locations(get(client, f"{base}/sitemap.xml").content)
    assert listed == [url for url in lexicon.urls() if url.startswith(f"{base}/")]
    assert get(client, f"{base}/sitemap-1.xml").status_code == 404


def test_a_long_site_map_comes_in_parts(client, monkeypatch, atlas: GraphWeb):
    monkeypatch.setattr(serve, "PER_SITEMAP", 30)
    parts = _locations(get(client, f"https://{ATLAS}/sitemap.xml").content)
    pages = [url for part in parts for url in _locations(get(client, part).content)]
    assert parts[0] == f"https://{ATLAS}/sitemap-1.xml"
    assert pages == list(atlas.urls())
    assert get(client, f"https://{ATLAS}/sitemap-99.xml").status_code == 404


def _locations(xml: bytes) -> list[str]:
    spaces = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    return [one.text or "" for one in ElementTree.fromstring(xml).findall(".//s:loc", spaces)]


# For people


def test_a_bare_address_lists_what_is_served(client, atlas: GraphWeb):
    page = extract(client.get("/").text, str(client.base_url))
    aliases = [f"http://{host}.localhost:{client.base_url.port}/" for host in (ATLAS, LEXICON)]
    assert [link.url for link in page.links] == aliases
    listed = client.get("/", headers={"accept": "application/json"}).json()
    assert listed[0] == {"name": "hill-land", "hosts": [ATLAS]}
    assert client.get("/else").status_code == 404


def test_what_a_server_says_of_a_chinese_web_is_chinese(client, lexicon: GraphWeb):
    found, missed = (get(client, f"https://{LEXICON}/search?q={q}").text for q in ("城市", "zz"))
    gone = get(client, f"https://{LEXICON}/wiki/zz")
    assert "<h1>搜索结果</h1>" in found
    assert "没有找到相关页面。" in missed
    assert (gone.status_code, gone.headers["webfarer-status"]) == (404, "not_found")
    assert "<h1>页面不存在</h1>" in gone.text
    assert all('<html lang="zh">' in text and "Search" not in text for text in (found, gone.text))


def test_only_what_can_be_searched_has_a_field_for_it(client):
    assert "<form" not in client.get("/").text
    assert "<form" in get(client, f"https://{ATLAS}/search?q=karsk").text


def test_what_a_page_is_asked_comes_back_as_text(client):
    for path in (
        "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/%3Cscript%3E",
        "/search?k=%3Cb%3E",
    ):
        text = get(client, f"https://{ATLAS}{path}").text
        assert "<script>" not in text
        assert "<b>" not in text


def test_every_site_has_an_alias_of_its_own_that_is_a_host_name():
    hosts = ["a.example", "a.example-2", "a.example:80", "my_host.example", "[::1]:8000"]
    webs = [Pages(hosts=hosts, name="one"), Pages(hosts=hosts[:1], name="two"),
            Pages(hosts=["a.example-80"], name="three")]  # fmt: skip
    server = WebServer(webs)
    aliases = [site.alias for site in server._by_alias.values()]
    assert aliases == [
        "a.example.localhost", "a.example-2.localhost", "a.example-80.localhost",
        "my-host.example.localhost", "1-8000.localhost", "a.example-3.localhost",
        "a.example-80-2.localhost",
    ]  # fmt: skip
    assert [server.alias_of(web) for web in webs] == [aliases[0], aliases[5], aliases[6]]


def test_an_alias_shows_the_same_bytes_but_for_addresses_served_here(client, atlas, lexicon):
    port = client.base_url.port
    url = atlas.url_of("c1")
    path = httpx.URL(url).raw_path.decode()
    answer = client.get(path, headers={"host": f"{ATLAS}.localhost:{port}"})
    assert answer.content == atlas.html(url).encode()  # its links have no host
    answer = client.get("/", headers={"host": f"{LEXICON}.localhost:{port}"})
    html = (lexicon.html(f"https://{LEXICON}/") or "").replace("https://", "http://")
    assert answer.text == html.replace(f"{LEXICON}/", f"{LEXICON}.localhost:{port}/")
    moved = client.get("/wiki//Karsk", headers={"host": f"{ATLAS}.localhost:{port}"})
    assert moved.headers["location"] == f"http://{ATLAS}.localhost:{port}{path}"


def test_addresses_of_others_stay_as_they_are_under_an_alias():
    body = b'<a href="https://pages.example/x">a</a> <a href="https://else.example/">b</a>'
    page = Exchange("http://pages.example/", 200, (("Content-Type", "text/html"),), body)
    with serving([Pages(page)]) as address:
        port = address.rpartition(":")[2]
        host = f"pages.example.localhost:{port}"
        text = httpx.get(address, headers={"host": host}).text
    assert text == body.decode().replace("https://pages.example", f"http://{host}")


# Webs of other kinds


def test_what_was_recorded_is_sent_without_state_and_framing():
    """Of the headers that came with a page only those stay that say what it is."""
    headers = (("Content-Type", "text/html; charset=big5"), ("Set-Cookie", "a=b"),
               ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"),
               ("Connection", "close"), ("Content-Length", "9"))  # fmt: skip
    page = Exchange("http://pages.example/a?b=1", 203, headers, b"\xa4\xa4")
    with serving([Pages(page)]) as address:
        answer = httpx.get(f"{address}/a?b=1", headers={"host": "pages.example"})
    assert (answer.status_code, answer.content) == (203, b"\xa4\xa4")
    assert answer.headers["content-type"] == "text/html; charset=big5"
    assert not {"set-cookie", "content-encoding", "connection"} & set(answer.headers)


def test_a_page_of_the_webs_own_comes_before_what_a_server_adds():
    said = (("Content-Type", "text/plain"),)
    robots = Exchange("https://pages.example/robots.txt", 200, said, b"User-agent: *\nDisallow: /")
    with serving([Pages(robots)]) as address:
        answer = httpx.get(f"{address}/robots.txt", headers={"host": "pages.example"})
    assert answer.content == robots.body


def test_two_webs_at_one_host_are_told_apart_by_name(atlas: GraphWeb):
    other = GraphWeb(small_graph(3), f"https://{ATLAS}")
    other.name = "other land"
    with serving([atlas, other]) as address, httpx.Client(base_url=address) as client:
        url = "/list/birthplace/Karsk"  # that only seventy people make necessary
        assert client.get(url, headers={"host": ATLAS}).text == atlas.html(f"https://{ATLAS}{url}")
        chosen = {"host": ATLAS, "webfarer-web": "other%20land"}
        assert client.get("/", headers=chosen).text == other.html(f"https://{ATLAS}/")
        alias = {"host": f"{ATLAS}-2.localhost"}
        assert client.get("/", headers=alias).text == other.html(f"https://{ATLAS}/")
    with pytest.raises(BadInput, match="have one name"):
        WebServer([atlas, atlas])


def test_a_port_in_use_is_bad_input():
    with (
        listening() as (_, address),
        pytest.raises(BadInput, match="cannot serve from"),
        listening(port=int(address.rpartition(":")[2])),
    ):
        pass


def test_only_loopback_is_listened_on_by_default():
    with listening() as (listener, _):
        assert listener.getsockname()[0] == "127.0.0.1"
        assert listener.proto == socket.IPPROTO_TCP  # or answers come 40 ms late


# The command


def test_the_command_serves_until_it_is_interrupted(world_folder: Path):
    command = [sys.executable, "-m", "webfarer", "web", "serve", str(world_folder), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            host = process.stdout.readline().split()[-1]
            address = process.stdout.readline().split()[2]
            assert httpx.get(address, headers={"host": host}).status_code == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_nothing_to_serve_is_bad_input(monkeypatch, capfd):
    said = Webfarer(monkeypatch, capfd)("web", "serve")
    assert "nothing to serve" in said.complaint
