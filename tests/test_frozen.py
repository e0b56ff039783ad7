"""`ArchiveWeb`: an archive searched and read, offline and the same every time."""

import asyncio
import gc
import gzip
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from webfarer.types import FailureError, WebfarerError
from webfarer.web.archive import pages as pages_module
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.frozen import ArchiveWeb
from webfarer.web.archive.pages import build_pages, open_pages, searchable
from webfarer.web.base import Web
from webfarer.web.http.exchange import Exchange
from webfarer.web.http.fetch import Fetcher, FetchSettings
from webfarer.web.http.live import LiveWeb
from webfarer.web.reading import page_of

DOCS = Path("/usr/share/doc/python3.11/html")
AT = datetime(2026, 11, 21, tzinfo=UTC)
SITE = "http://site.test"
TOPICS = ["river", "harbour", "mountain", "lighthouse", "orchard", "glacier"]


def html(title: str, text: str, links: str = "") -> bytes:
    return (f"<html><head><title>{title}</title></head><body><nav>Home</nav><main><h1>{title}</h1>"
            f"<p>{text}</p>{links}</main></body></html>").encode()  # fmt: skip


def sent(path: str, body: bytes = b"", status: int = 200, kind: str = "text/html", **headers):
    fields = (("Content-Type", kind), *((k.replace("_", "-"), v) for k, v in headers.items()))
    return Exchange(f"{SITE}{path}", status, fields, body, "", "127.0.0.1", AT)


def recorded() -> list[tuple[Exchange, dict[str, str | int]]]:
    """A small site: pages, redirects that end and that do not, errors, data, copies."""
    link = '<a href="/harbour">next</a>'
    made = [(sent(f"/{t}", html(t.title(), f"All about the {t}.", link)), {}) for t in TOPICS]
    rest = [
        (sent("/start", status=301, Location="/moved"), {}),
        (sent("/moved", status=302, Location=f"{SITE}/river#top"), {}),
        (sent("/round", status=302, Location="/circle"), {}),
        (sent("/circle", status=307, Location="/round"), {}),
        (sent("/out", status=301, Location="http://elsewhere.test/page"), {}),
        (sent("/mail", status=301, Location="mailto:a@site.test"), {}),
        (sent("/gone", b"not here", 404), {}),
        (sent("/broken", b"sorry", 503), {}),
        (sent("/picture", b"\x89PNG", kind="image/png"), {}),
        (sent("/notes.txt", b"plain words about a glacier\r\n", kind="text/plain"), {}),
        (sent("/data.json", b'{"river": 1}', kind="application/json"), {}),
        (sent("/blank", b"<html></html>"), {}),
        (sent("/robots.txt", b"Disallow: /river", kind="text/plain"), {}),
        (sent("/copy", html("River", "All about the river, again.")),
         {"near_duplicate_of": f"{SITE}/river"}),
        (sent("/hidden", html("River", "A river that asks not to be found.")), {"noindex": 1}),
        (sent("/very-same", made[0][0].body), {}),
        (sent("/chinese", "<title>河流</title><p>关于河流的一切。".encode("gbk"),
              kind="text/html; charset=gb2312"), {}),
    ]  # fmt: skip
    return [*made, *rest]


def fill(folder: Path, order: int = 0) -> Path:
    site = recorded()
    random.Random(order).shuffle(site)
    with Archive.create(folder) as archive:
        for exchange, notes in site:
            archive.append(exchange, **notes)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return fill(tmp_path_factory.mktemp("frozen") / "site")


@pytest.fixture
def web(folder) -> Iterator[ArchiveWeb]:
    with Archive.open(folder) as archive:
        yield ArchiveWeb(archive)


def as_web(web: Web) -> Web:
    return web


# Visits


async def test_a_page_is_read_as_it_was_recorded(web):
    page = await as_web(web).visit(f"{SITE}/river")
    assert (page.status, page.title, page.text) == ("ok", "River", "# River\n\nAll about the "
                                                    "river.\n\nnext")  # fmt: skip
    assert [link.url for link in page.links] == [f"{SITE}/harbour"]
    assert await web.visit("HTTP://Site.test:80/./river#x") == page
    assert web.name == "site"


async def test_redirects_are_followed_within_the_archive(web):
    assert await web.visit(f"{SITE}/start") == await web.visit(f"{SITE}/river")
    for path in ("/round", "/circle"):
        page = await web.visit(f"{SITE}{path}")
        assert (page.status, page.text) == (
            "unloadable", f"The redirects from {SITE}{path} never end.")  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/gone", "not_found", "404: there is no page"),
        ("/broken", "unloadable", "503"),
        ("/picture", "unloadable", "image/png"),
        ("/blank", "empty", ""),
        ("/absent", "not_archived", f"{SITE}/absent was never recorded in the archive site."),
        ("/out", "not_archived", "http://elsewhere.test/page was never recorded"),
        ("/mail", "refused", "may not be fetched"),
    ],
)
async def test_what_is_no_page_says_why(web, path, status, said):
    page = await web.visit(f"{SITE}{path}")
    assert page.status == status
    assert page.text.startswith(said) or said in page.text


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://site.test/", "javascript:1", "",
                                 "http://u:p@site.test/river", "http://[", "\x00"])  # fmt: skip
async def test_what_is_no_web_address_is_refused(web, url):
    assert (await web.visit(url)).status == "refused"


async def test_texts_of_other_types_and_charsets_are_read(web):
    assert (await web.visit(f"{SITE}/notes.txt")).text == "plain words about a glacier"
    assert (await web.visit(f"{SITE}/data.json")).text == '{"river": 1}'
    assert (await web.visit(f"{SITE}/chinese")).text == "关于河流的一切。"


async def test_only_allowed_hosts_are_read(folder):
    with Archive.open(folder) as archive:
        web = ArchiveWeb(archive, allow=["other.test"])
        assert (await web.visit(f"{SITE}/river")).status == "refused"
        web = ArchiveWeb(archive, allow=["SITE.test"])
        assert (await web.visit(f"{SITE}/river")).status == "ok"
        assert (await web.visit(f"{SITE}/out")).status == "refused"


async def test_impossible_to_fetch_a_page_that_was_never_recorded(folder, monkeypatch):
    """Nothing opens a connection or asks for an address, whatever is visited."""

    def no_network(*_):
        raise AssertionError("a frozen web asked the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with Archive.open(folder) as archive:
        for web in (ArchiveWeb(archive), ArchiveWeb(archive, strict=True)):
            for url in (f"{SITE}/river", f"{SITE}/round", "file:///etc/passwd"):
                await web.visit(url)
            await web.search(["river"], 3)
        with pytest.raises(FailureError, match="absent was never recorded in the archive site"):
            await web.visit(f"{SITE}/absent")


# The same every time


async def everything(web: ArchiveWeb, order: int) -> dict[str, object]:
    urls = [exchange.url for exchange, _ in recorded()] + [f"{SITE}/absent"]
    random.Random(order).shuffle(urls)
    found = {url: await web.visit(url) for url in urls}
    return dict(sorted(found.items()))


async def test_the_same_whatever_was_visited_before_and_whatever_is_kept(folder, tmp_path):
    """In any order, before and after the pages are kept on the disk, with one page in memory."""
    copy = tmp_path / "site"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("search"))
    with Archive.open(copy) as archive:
        first = await everything(ArchiveWeb(archive), 1)
        build_pages(archive).close()
        for order, cache in ((2, 512), (3, 1), (4, 0)):
            assert await everything(ArchiveWeb(archive, cache=cache), order) == first


async def test_from_many_threads_and_loops_at_once(folder):
    with Archive.open(folder) as archive:
        web = ArchiveWeb(archive, cache=2)
        first = await everything(web, 0)
        with ThreadPoolExecutor(8) as pool:
            for found in pool.map(lambda order: asyncio.run(everything(web, order)), range(16)):
                assert found == first


async def test_two_archives_of_one_site_give_the_same_hits(folder, tmp_path):
    """Crawled in another order, indexed by another number of processes: the same, bit for bit."""
    queries = ["river", "all about the glacier", "harbour mountain", "lighthouse", "nothing", ""]
    found = []
    for order, jobs in ((1, 1), (2, 3)):
        with Archive.open(fill(tmp_path / str(order), order)) as archive:
            found.append(await ArchiveWeb(archive, jobs=jobs).search(queries, 5))
    assert found[0] == found[1]
    assert found[0][0]
    with Archive.open(folder) as archive:
        assert await ArchiveWeb(archive).search(queries, 5) == found[0]


# Search


async def test_search_finds_pages_and_leaves_out_what_is_none(web):
    (hits,) = await web.search(["river"], 20)
    assert [hit.url for hit in hits] == [f"{SITE}/river"]  # no copy, no robots.txt, no data
    (hits,) = await web.search(["glacier"], 20)
    assert {hit.url for hit in hits} == {f"{SITE}/glacier", f"{SITE}/notes.txt"}
    for hit in hits:
        assert (await web.visit(hit.url)).title == hit.title


def test_a_copy_of_a_page_that_is_not_there_any_more_is_found(tmp_path):
    with Archive.create(tmp_path / "a") as archive:
        archive.append(sent("/copy", html("River", "again")), near_duplicate_of=f"{SITE}/river")
        assert [row.url for row in searchable(archive)] == [f"{SITE}/copy"]
        archive.append(sent("/river", html("River", "first")))
        assert [row.url for row in searchable(archive)] == [f"{SITE}/river"]


def test_pages_are_extracted_once_and_again_only_where_they_changed(tmp_path, monkeypatch):
    read: list[str] = []

    def counted(exchange):
        read.append(exchange.url)
        return page_of(exchange)

    monkeypatch.setattr(pages_module, "page_of", counted)
    folder = fill(tmp_path / "a")
    with Archive.open(folder) as archive:
        assert open_pages(archive) is None
        build_pages(archive).close()
        assert len(read) == len(set(read)) == len(list(searchable(archive)))
        build_pages(archive).close()
        assert len(read) == len(set(read))
    with Archive.create(folder) as archive:
        archive.append(sent("/new", html("Delta", "Where the river ends.")))
        archive.append(sent("/orchard", html("Orchard", "Cut down.")))
        assert open_pages(archive) is None
    read.clear()
    with Archive.open(folder) as archive:
        web = ArchiveWeb(archive)
        (hits,) = asyncio.run(web.search(["delta ends"], 1))
        assert hits[0].url == f"{SITE}/new"
        assert sorted(read) == [f"{SITE}/new", f"{SITE}/orchard"]
        assert "Cut down" in web.page(f"{SITE}/orchard").text


def test_every_module_that_a_pages_text_rests_on_counts_as_the_reader():
    """What `reading` imports of ours, and what that imports, but for mere records."""
    found, new = set(), {"reading"}
    while new:
        found |= new
        web = Path(pages_module.__file__).parents[1]
        text = "".join((web / f"{name}.py").read_text() for name in new)
        named = re.findall(r"from webfarer\.web\.([\w.]+) import", text)
        new = {name.replace(".", "/") for name in named} - found
    assert found - {"http/exchange"} == set(pages_module.READER)


@pytest.mark.parametrize("damage", ["about.json", "places.json", "pages.jsonl", "index/meta.json"])
def test_a_damaged_index_is_made_again(tmp_path, damage):
    folder = fill(tmp_path / "a")
    with Archive.open(folder) as archive:
        before = asyncio.run(ArchiveWeb(archive).search(["river"], 5))
        path = folder / "search" / damage
        assert path.exists()
        path.write_bytes(path.read_bytes()[:20]) if damage != "pages.jsonl" else path.unlink()
        web = ArchiveWeb(archive)
        assert asyncio.run(web.search(["river"], 5)) == before
        assert web.page(f"{SITE}/river").title == "River"


BUILD = """
import sys
from pathlib import Path
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.pages import build_pages
with Archive.open(Path(sys.argv[1])) as archive:
    build_pages(archive, jobs=2)
"""


def many(folder: Path, number: int) -> Path:
    with Archive.create(folder) as archive:
        for n in range(number):
            text = " ".join(f"word{n * k}" for k in range(300))
            archive.append(sent(f"/{n}", html(f"Page {n}", text)))
    return folder


def test_a_build_that_is_killed_leaves_nothing_that_passes_for_one(tmp_path):
    """Killed outright at several moments; its readers end as well."""
    folder = many(tmp_path / "a", 200)
    for wait in (0.3, 0.5, 0.7):
        with subprocess.Popen([sys.executable, "-c", BUILD, str(folder)]) as process:
            time.sleep(wait)
            process.kill()
    with Archive.open(folder) as archive:
        (hits,) = asyncio.run(ArchiveWeb(archive, jobs=2).search(["page 199"], 3))
        assert hits[0].url == f"{SITE}/199"
        assert len(open_pages(archive)) == 200
    assert {path.name for path in (folder / "search").iterdir()} == {
        "about.json", "pages.jsonl", "places.json", "index"}  # fmt: skip
    assert not list(folder.glob(".search.aside"))


def test_two_builds_at_once_do_the_work_once(tmp_path):
    folder = many(tmp_path / "a", 60)
    command = [sys.executable, "-c", BUILD, str(folder)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate()[1] for process in processes] == [b"", b""]
    with Archive.open(folder) as archive:
        assert len(open_pages(archive)) == 60


def test_a_page_that_cannot_be_read_any_more_is_a_failure_in_one_line(tmp_path):
    folder = many(tmp_path / "a", 60)
    with Archive.open(folder) as archive:
        (folder / "warc" / "00001.warc.gz").unlink()
        for jobs in (1, 2):
            with pytest.raises(FailureError) as error:
                build_pages(archive, jobs=jobs)
            assert "cannot be read" in str(error.value)
            assert "\n" not in str(error.value)
        assert not (folder / "search").exists()


def test_a_disk_that_is_full_is_said_and_leaves_the_archive(tmp_path, monkeypatch):
    folder = fill(tmp_path / "a")
    with Archive.open(folder) as archive:
        monkeypatch.setattr(pages_module, "extract_rows", full)
        with pytest.raises(WebfarerError, match="no space left"):
            build_pages(archive)
        assert {path.name for path in folder.iterdir()} == {
            "archive.json", "index.jsonl", "warc", ".lock", ".search.lock"}  # fmt: skip


def test_a_disk_that_is_full_while_pages_are_written_leaves_no_noise(tmp_path, monkeypatch):
    unraised = []
    monkeypatch.setattr(sys, "unraisablehook", unraised.append)
    monkeypatch.setattr(pages_module, "_write", lambda _, lines: next(lines) and full())
    full_disk = pytest.raises(WebfarerError, match="no space left")
    with Archive.open(fill(tmp_path / "a")) as archive, full_disk:
        build_pages(archive)
    gc.collect()
    assert unraised == []


def full(*_):
    raise OSError(28, "No space left on device")


# Recorded from the live web, and replayed


class Site(BaseHTTPRequestHandler):
    """A live site: compressed, in several charsets, with redirects and a page that changes."""

    protocol_version = "HTTP/1.1"
    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        text = "<html><title>{0}</title><main><h1>{0}</h1><p>{1}</p><a href='/b'>b</a></main>"
        now = f"Asked {len(self.asked)} times."
        match self.path:
            case "/a":
                return self.answer(301, b"", Location="/b?x=1")
            case "/b?x=1":
                return self.answer(302, b"", Location="/c")
            case "/c":
                body = gzip.compress(text.format("Here", now).encode())
                return self.answer(200, body, Content_Encoding="gzip")
            case "/latin":
                body = text.format("Zoë", f"Café. {now}").encode("latin-1")
                return self.answer(200, body, Content_Type="text/html; charset=iso-8859-1")
            case "/chinese":
                body = text.format("河流", "关于河流的一切。").replace(
                    "<html>", "<html><meta charset='gbk'>").encode("gbk")  # fmt: skip
                return self.answer(200, body)
            case "/text":
                return self.answer(200, b"one\r\ntwo\r\n", Content_Type="text/plain")
            case "/empty":
                return self.answer(200, b"")
            case "/pdf":
                return self.answer(200, b"%PDF", Content_Type="application/pdf")
        return self.answer(404, b"<p>nothing here")

    def answer(self, status, body, **headers):
        headers = {"Content_Type": "text/html", **headers, "Content_Length": str(len(body))}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def live_site() -> Iterator[str]:
    Site.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


PATHS = ["/a", "/b?x=1", "/c", "/latin", "/chinese", "/text", "/empty", "/pdf", "/nothing"]


async def test_a_live_fetch_recorded_is_replayed_byte_for_byte(tmp_path):
    folder = tmp_path / "a"
    with live_site() as base, Archive.create(folder) as archive:
        async with Fetcher(FetchSettings(allow_private=True)) as fetcher:
            live = LiveWeb(fetcher, recorder=archive)
            pages = {path: await live.visit(base + path) for path in PATHS}
    assert [pages[path].status for path in PATHS] == [
        *["ok"] * 6, "empty", "unloadable", "not_found"]  # fmt: skip
    with Archive.open(folder) as archive:  # the site is gone
        web = ArchiveWeb(archive, strict=True)
        last = {"/a": "/c", "/b?x=1": "/c"}  # "/c" was recorded three times: the latest counts
        for path in PATHS:
            expected = pages[last.get(path, path)]
            assert await web.visit(base + path) == expected, path
        assert "Asked 6 times" in (await web.visit(base + "/c")).text


@pytest.mark.skipif(not DOCS.is_dir(), reason="needs Debian's python3.11-doc")
async def test_python_documentation_is_found_and_read(tmp_path):
    with Archive.create(tmp_path / "docs") as archive:
        for path in sorted((DOCS / "library").glob("asyncio*.html")):
            url = f"https://docs.test/library/{path.name}"
            archive.append(Exchange(url, 200, (("Content-Type", "text/html"),), path.read_bytes()))
        web = ArchiveWeb(archive)
        (hits,) = await web.search(["event loop policy"], 3)
        assert "https://docs.test/library/asyncio-policy.html" in {hit.url for hit in hits}
        for path in sorted((DOCS / "library").glob("asyncio*.html")):
            url = f"https://docs.test/library/{path.name}"
            exchange = Exchange(url, 200, (("Content-Type", "text/html"),), path.read_bytes())
            assert await web.visit(url) == page_of(exchange)
