"""The crawler against servers that count what they are asked, and against ones that misbehave."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest
from warcio.archiveiterator import ArchiveIterator

from commands import Webfarer
from hostile import hostile, hostile_thread, response
from webfarer.types import BadInput, WebfarerError
from webfarer.web.archive import folder as archive_folder
from webfarer.web.archive import rows
from webfarer.web.archive.archive import Archive
from webfarer.web.crawl.crawl import JOURNAL, crawl
from webfarer.web.crawl.journal import Journal, Line
from webfarer.web.crawl.links import Reading, read_page
from webfarer.web.crawl.nearby import Print
from webfarer.web.crawl.reader import SIZE, heard, told
from webfarer.web.crawl.readers import Readers, Unreadable
from webfarer.web.crawl.scope import Bounds
from webfarer.web.crawl.settings import Counts, CrawlSettings, asked_wait, checked_roots
from webfarer.web.http.exchange import Exchange
from webfarer.web.http.fetch import FetchSettings

DOCS = Path("/usr/share/doc/python3.11/html")
Answer = Callable[[str, int], bytes | None]  # for a path and how often it was asked for before


class Site:
    """A server on loopback whose pages are a function."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: Counter[str] = Counter()
        self.base = ""

    async def reply(self, path: str) -> bytes:
        answer = self._answer(path, self.asked[path])
        self.asked[path] += 1
        return answer or response("<p>No such page.", status="404 Not Found")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self.reply(head.split(b" ")[1].decode()))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()


@asynccontextmanager
async def site(answer: Answer, kind: type[Site] = Site) -> AsyncIterator[Site]:
    served = kind(answer)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield served


def pages(found: Mapping[str, str | bytes]) -> Answer:
    """Answers with pages by path; bytes are sent as they are."""

    def answer(path: str, _: int) -> bytes | None:
        page = found.get(path)
        return response(page) if isinstance(page, str) else page

    return answer


def to(*paths: str, more: str = "") -> str:
    return f"<title>{more}</title><p>{more}" + "".join(f'<a href="{path}">x</a>' for path in paths)


def moved(where: str) -> bytes:
    return response(b"", status="302 Found", headers={"Location": where})


async def go(out: Path, *roots: str, routes: Mapping[str, str] | None = None,
             fetch: Mapping[str, object] | None = None, bounds: Mapping[str, object] | None = None,
             **settings: object) -> Counts:  # fmt: skip
    made = CrawlSettings.model_validate({
        "bounds": {"roots": roots, **(bounds or {})},
        "fetch": {"allow_private": True, "timeout": 5.0, **(fetch or {})},
        "backoff": 0.01, "readers": 0, **settings,
    })  # fmt: skip
    return await crawl(made, out, routes=routes)


def lines(out: Path) -> dict[str, Line]:
    """The journal's lines by path."""
    with Journal(out / JOURNAL) as journal:
        found = [line for _, line in journal.read()]
    assert len({line.url for line in found}) == len(found)
    return {re.sub(r"^https?://[^/]+", "", line.url): line for line in found}


def outcomes(out: Path) -> dict[str, str]:
    return {path: line.fault or line.outcome for path, line in lines(out).items()}


# What is followed and kept


async def test_each_kind_of_answer_and_of_link(tmp_path: Path) -> None:
    found = {
        "/": '<base href="/sub/"><link rel="canonical" href="/the-one">'
        '<a href="one#part">1</a><a href="one#other">1</a>'
        '<a href="/two" rel="nofollow">2</a><a href="/moved">m</a><a href="/gone">g</a>'
        '<a href="/photo.png">p</a><a href="mailto:x@y.example">w</a><a href="/data">d</a>'
        '<a href="/video">v</a><a href="http://elsewhere.example/">e</a><a href="/quiet">q</a>'
        '<a href="/hidden">h</a><a href="/text">t</a>',
        "/sub/one": to("/error"),
        "/moved": moved("/new"),
        "/new": to(),
        "/error": response("<p>no", status="500 Oh"),
        "/data": response('{"a": 1}', "application/json"),
        "/video": response(b"v" * 1000, "video/mp4"),
        "/quiet": '<meta name="robots" content="nofollow"><a href="/never">never</a>',
        "/hidden": '<meta name="ROBOTS" content="noindex"><a href="/below">n</a>',
        "/below": "below",
        "/text": response("see /never", "text/plain"),
        "/the-one": "the one",
    }
    async with site(pages(found)) as served:
        counts = await go(tmp_path, f"{served.base}/")
    assert outcomes(tmp_path) == {
        "/robots.txt": "rules", "/": "page", "/sub/one": "page", "/moved": "redirect",
        "/new": "page", "/gone": "missing", "/error": "error", "/data": "page",
        "/video": "other type", "/quiet": "page", "/hidden": "page", "/below": "page",
        "/text": "page", "/the-one": "page",
    }  # fmt: skip
    assert all(times == 1 for times in served.asked.values())
    assert counts.pages == 9
    with Archive.open(tmp_path) as archive:
        kept = {row.url.removeprefix(served.base): row for row in archive.rows()}
        assert "/video" not in kept  # its headers came, its body was left
        assert kept["/hidden"].notes == {"noindex": 1}
        assert kept["/moved"].location == "/new"
        assert archive.read(kept["/data"]).body == b'{"a": 1}'


async def test_what_was_crawled_is_read_by_warcio(tmp_path: Path) -> None:
    async with site(pages({"/": to("/a"), "/a": "héllo"})) as served:
        await go(tmp_path, f"{served.base}/")
    (file,) = (tmp_path / "warc").iterdir()
    with file.open("rb") as stream:
        found = {
            record.rec_headers["WARC-Target-URI"]: record.content_stream().read()
            for record in ArchiveIterator(stream)
            if record.rec_type == "response"
        }
    assert found[f"{served.base}/a"] == "héllo".encode()
    assert len(found) == 3


async def test_run_again_it_asks_for_nothing(tmp_path: Path) -> None:
    async with site(pages({"/": to("/a", "/b"), "/a": to("/"), "/b": moved("/a")})) as served:
        first = await go(tmp_path, f"{served.base}/")
        before, again = Counter(served.asked), await go(tmp_path, f"{served.base}/")
        assert served.asked == before
    assert (again.asked, again.new) == (0, 0)
    assert (again.outcomes, again.size) == (first.outcomes, first.size)


async def test_another_run_within_other_bounds_is_refused_and_with_more_pages_goes_on(
    tmp_path: Path,
) -> None:
    chain = {f"/{n}": to(f"/{n + 1}", more=str(n)) for n in range(10)}
    async with site(pages(chain)) as served:
        root = f"{served.base}/0"
        first = await go(tmp_path, root, pages=3)
        assert (first.pages, first.left) == (3, 1)
        with pytest.raises(BadInput, match="was crawled with reach host, not site"):
            await go(tmp_path, root, bounds={"reach": "site"})
        assert (await go(tmp_path, root, pages=5)).pages == 5
        assert (await go(tmp_path, root, depth=6)).pages == 7
        assert all(times == 1 for times in served.asked.values())


async def test_under_a_limit_of_depth_a_page_found_nearer_later_has_its_links_followed(
    tmp_path: Path,
) -> None:
    """/deep is three links away by way of /a, and two by way of /late, which answers only after
    /deep was asked for: /leaf is within three links all the same."""
    asked_for = asyncio.Event()
    found = {
        "/": to("/late", "/a"), "/a": to("/b"), "/b": to("/deep"), "/late": to("/deep", more="l"),
        "/deep": to("/leaf"), "/leaf": to("/too-far"),
    }  # fmt: skip

    class Late(Site):
        async def reply(self, path: str) -> bytes:
            if path == "/late":
                await asked_for.wait()
                await asyncio.sleep(0.2)
            if path == "/deep":
                asked_for.set()
            return await super().reply(path)

    async with site(pages(found), Late) as served:
        await go(tmp_path, f"{served.base}/", depth=3, bounds={"robots": False})
    assert set(outcomes(tmp_path)) == set(found)
    assert lines(tmp_path)["/deep"].depth == 3  # as it was when it was asked for


async def test_several_sites_by_their_names(tmp_path: Path) -> None:
    async with site(pages({"/": to("http://b.example/x", "http://www.a.example/y"),
                           "/x": "x", "/y": "y"})) as served:  # fmt: skip
        routes = dict.fromkeys(("a.example", "www.a.example", "b.example"), served.base)
        root = ("http://a.example/", "http://b.example/")
        await go(tmp_path / "host", *root, routes=routes)
        await go(tmp_path / "site", *root, routes=routes, bounds={"reach": "site"})
        await go(tmp_path / "list", root[0], routes=routes, bounds={"allow": ("b.example",)})

    def urls(name: str) -> set[str]:
        return {line.url for line in lines(tmp_path / name).values() if line.outcome == "page"}

    both = {"http://a.example/", "http://b.example/x"}
    with Journal(tmp_path / "host" / JOURNAL) as journal:
        found = {line.url for _, line in journal.read() if line.outcome == "page"}
    assert found >= both
    assert "http://www.a.example/y" not in found
    with Journal(tmp_path / "site" / JOURNAL) as journal:
        assert "http://www.a.example/y" in {line.url for _, line in journal.read()}
    assert urls("list") == both


async def test_where_a_root_leads_is_a_root(tmp_path: Path) -> None:
    async with site(pages({"/": to("/in")})) as served:
        routes = {"new.example": served.base}
        async with site(lambda path, _: moved("http://new.example/")) as old:
            await go(tmp_path, f"{old.base}/", routes=routes, bounds={"robots": False})
    assert served.asked == {"/": 1, "/in": 1}


async def test_duplicates_are_kept_and_marked(tmp_path: Path) -> None:
    words = " ".join(f"word{number}" for number in range(400))
    page = "<title>{}</title><main><p>{}</main>"
    found = {
        "/": to("/a", "/b", "/c", "/d"),
        "/a": page.format("A", words),
        "/b": page.format("A", words) + "<footer>another footer</footer>",
        "/c": page.format("A", words.replace("word7 ", "other ")),
        "/d": page.format("D", words),
    }
    async with site(pages(found)) as served:
        counts = await go(tmp_path, f"{served.base}/", concurrency=1)
    assert counts.pages == 5
    assert {path: line.duplicate_of[len(served.base):] for path, line in lines(tmp_path).items()
            if line.duplicate_of} == {"/b": "/a", "/c": "/a"}  # fmt: skip
    with Archive.open(tmp_path) as archive:
        row = archive.row(f"{served.base}/b")
        assert row is not None
        assert row.near_duplicate_of == f"{served.base}/a"


async def test_sitemaps_are_begun_with_when_they_are_asked_for(tmp_path: Path) -> None:
    async with site(pages({})) as served:
        found = {
            "/": "home", "/robots.txt": response(f"Sitemap: {served.base}/map.xml", "text/plain"),
            "/map.xml": response(f"<urlset><url><loc>{served.base}/lone</loc></url></urlset>",
                                 "application/xml"),
            "/lone": "no link leads here",
        }  # fmt: skip
        served._answer = pages(found)
        await go(tmp_path / "without", f"{served.base}/")
        await go(tmp_path / "with", f"{served.base}/", bounds={"sitemaps": True})
    assert "/lone" not in outcomes(tmp_path / "without")
    assert outcomes(tmp_path / "with")["/lone"] == "page"


# Manners


async def test_robots_are_asked_first_once_and_obeyed(tmp_path: Path) -> None:
    order: list[str] = []
    rules = "User-agent: webfarer\nDisallow: /private\n\nUser-agent: *\nDisallow: /\n"

    def answer(path: str, _: int) -> bytes:
        order.append(path)
        return response(rules, "text/plain") if path == "/robots.txt" else response(
            to("/private/x", "/open", "/robots.txt")
        )  # fmt: skip

    async with site(answer) as served:
        await go(tmp_path, f"{served.base}/", f"{served.base}/b")
    assert order[0] == "/robots.txt"
    assert Counter(order) == {"/robots.txt": 1, "/": 1, "/b": 1, "/open": 1}
    assert outcomes(tmp_path)["/private/x"] == "forbidden"


@pytest.mark.parametrize(
    ("robots", "said"),
    [
        (response("User-agent: *\nDisallow: /", "text/plain"), "forbidden"),
        (response("", status="500 Broken"), "status 500"),
        (b"220 no http\r\n\r\n", "protocol"),
        (moved("/robots.txt"), "redirects"),
    ],
)
async def test_a_site_that_forbids_all_or_whose_rules_cannot_be_had(
    tmp_path: Path, robots: bytes, said: str
) -> None:
    async with site(pages({"/robots.txt": robots, "/": "page"})) as served:
        counts = await go(tmp_path, f"{served.base}/", retries=0)
    assert counts.pages == 0
    assert "/" not in served.asked
    assert outcomes(tmp_path)["/"] == said


async def test_rules_are_taken_from_where_robots_txt_leads(tmp_path: Path) -> None:
    found = {"/robots.txt": moved("/r2"), "/r2": response("User-agent: *\nDisallow: /x",
             "text/plain"), "/": to("/x", "/y"), "/y": "y"}  # fmt: skip
    async with site(pages(found)) as served:
        await go(tmp_path, f"{served.base}/", pages=1)
        await go(tmp_path, f"{served.base}/")
    assert outcomes(tmp_path)["/x"] == "forbidden"
    assert served.asked == {"/robots.txt": 1, "/r2": 1, "/": 1, "/y": 1}


async def test_a_busy_server_is_left_alone_and_asked_again(tmp_path: Path) -> None:
    def answer(path: str, before: int) -> bytes | None:
        if path == "/busy" and before < 2:
            return response("", status="503 Busy", headers={"Retry-After": "0"})
        return None if path == "/robots.txt" else response(to("/busy", more=path))

    async with site(answer) as served:
        await go(tmp_path, f"{served.base}/")
    assert (served.asked["/busy"], outcomes(tmp_path)["/busy"]) == (3, "page")


async def test_a_server_that_stays_busy_is_an_error_and_retry_asks_again(tmp_path: Path) -> None:
    busy = True

    def answer(path: str, _: int) -> bytes | None:
        if path == "/busy" and busy:
            return response("", status="429 Slow down")
        return None if path == "/robots.txt" else response(to("/busy", more=path))

    async with site(answer) as served:
        await go(tmp_path, f"{served.base}/", retries=1)
        assert (served.asked["/busy"], outcomes(tmp_path)["/busy"]) == (2, "error")
        busy = False
        assert (await go(tmp_path, f"{served.base}/")).asked == 0
        assert (await go(tmp_path, f"{served.base}/", retry=True)).asked == 1
    assert outcomes(tmp_path)["/busy"] == "page"


def test_how_long_a_busy_server_asks_to_wait() -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)

    def wait(text: str) -> float:
        return asked_wait(Exchange("http://x/", 503, (("Retry-After", text),)), now)

    found = [wait(text) for text in ("7", "", "soon", "Sat, 21 Nov 2026 08:00:30 GMT", "999999")]
    assert found == [7.0, 0.0, 0.0, 30.0, 120.0]


async def test_a_host_that_stops_answering_is_left_for_another_run(tmp_path: Path) -> None:
    def answer(path: str, before: int) -> bytes | None:
        if path == "/":
            return response(to(*(f"/{number}" for number in range(30))))
        return None if path == "/robots.txt" or before else b"220 no http\r\n\r\n"

    async with site(answer) as served:
        counts = await go(tmp_path, f"{served.base}/", retries=0, concurrency=1)
        assert counts.faults == {"protocol": 5}
        assert counts.left == 25
        assert len(served.asked) == 7


# Sites that misbehave


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/drip", "timeout"), ("/hang", "timeout"), ("/endless", "too_large"),
        ("/bomb", "too_large"), ("/broken-gzip", "encoding"), ("/brotli", "encoding"),
        ("/cut-body", "protocol"), ("/garbage", "protocol"), ("/loop", "redirects"),
        ("/redirects?n=30", "redirects"), ("/redirect?to=file:///etc/passwd", "scheme"),
    ],
)  # fmt: skip
async def test_what_misbehaves_is_counted_and_the_rest_crawled(
    tmp_path: Path, path: str, said: str
) -> None:
    async with hostile() as server:
        server.page("/", to(path, "/ok"))
        server.page("/robots.txt", "", "text/plain")
        counts = await go(
            tmp_path, server.url("/"), fetch={"timeout": 0.5, "max_bytes": 200_000}, retries=1
        )
    found = outcomes(tmp_path)
    assert found["/ok"] == "page"
    assert (counts.pages, counts.faults) == (2, {said: 1})


async def test_a_site_that_is_down_and_one_that_is_private(tmp_path: Path) -> None:
    async with site(pages({"/": "here"})) as served:
        base = served.base
        counts = await go(tmp_path / "private", f"{base}/", fetch={"allow_private": False})
        assert (counts.pages, counts.faults) == (0, {"private": 1})
        assert not served.asked
        # nothing was had: the next run begins anew
        assert (await go(tmp_path / "private", f"{base}/")).pages == 1
    counts = await go(tmp_path / "down", f"{base}/", retries=1)
    assert (counts.pages, counts.faults) == (0, {"connect": 1})


async def test_endless_sites_end(tmp_path: Path) -> None:
    """Links to ever new pages, by path and by query."""

    def answer(path: str, _: int) -> bytes | None:
        if path == "/robots.txt":
            return None
        number = int((re.findall(r"\d+", path) or ["0"])[-1])
        return response(to(f"/day/{number + 1}", f"/cal?d={number + 1}", more=path))

    async with site(answer) as served:
        counts = await go(tmp_path / "pages", f"{served.base}/", pages=25)
        assert counts.pages == 25
        counts = await go(tmp_path / "depth", f"{served.base}/", depth=6)
        assert counts.pages == 13  # a day and a query at each depth
        await go(tmp_path / "queries", f"{served.base}/", depth=9, bounds={"variants": 4})
    assert sum("cal?" in path for path in outcomes(tmp_path / "queries")) == 4


async def test_wrong_charsets_hide_no_link(tmp_path: Path) -> None:
    text = '<meta charset="utf-8"><p>旧地图集</p><a href="/目录">x</a>'
    found = {
        "/": response(text.encode("gb18030"), "text/html; charset=latin-1"),
        "/%E7%9B%AE%E5%BD%95": "found",
    }
    async with site(pages(found)) as served:
        await go(tmp_path, f"{served.base}/")
    assert outcomes(tmp_path)["/%E7%9B%AE%E5%BD%95"] == "page"


def test_a_root_that_is_no_address_is_bad_input() -> None:
    assert checked_roots(["HTTP://A.example", "http://a.example/#x"]) == ("http://a.example/",)
    for root in ("nonsense", "ftp://a.example/", "http://", "file:///etc/passwd"):
        with pytest.raises(BadInput, match="no web address"):
            checked_roots([root])


async def test_a_full_disk_stops_the_crawl_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        f"/{n}": to(*(f"/{3 * n + k}" for k in (1, 2, 3)), more=f"page {n}") for n in range(40)
    }
    write, left = rows.write_at, 25

    def full(file: int, data: bytes, place: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, data, place)

    async with site(pages(found)) as served:
        for module in (archive_folder, rows):
            monkeypatch.setattr(module, "write_at", full)
        with pytest.raises(WebfarerError, match="no space left on the disk"):
            await go(tmp_path, f"{served.base}/0", concurrency=4)
        for module in (archive_folder, rows):
            monkeypatch.setattr(module, "write_at", write)
        kept = set(outcomes(tmp_path))
        before = Counter(served.asked)
        counts = await go(tmp_path, f"{served.base}/0", concurrency=4)
    assert kept
    assert counts.pages == 40
    assert all(served.asked[path] == before[path] for path in kept)


# Killed, and gone on with

_CRAWL = """
import asyncio, sys
from pathlib import Path
from webfarer.web.crawl.crawl import crawl
from webfarer.web.crawl.settings import CrawlSettings
asyncio.run(crawl(CrawlSettings.model_validate_json(sys.argv[1]), Path(sys.argv[2])))
"""


def test_impossible_killed_at_any_moment_nothing_is_lost_and_nothing_recorded_asked_again(
    tmp_path: Path,
) -> None:
    """SIGKILL after about so many pages, then on to the end. What was in the archive or the journal
    when the kill fell is never asked for again; all there is to find is found, and kept once."""
    filler = " ".join(f"word{number}" for number in range(500))
    number_of = 120
    with hostile_thread() as server:
        for number in range(number_of):
            links = to(*(f"/p{2 * number + k}" for k in (1, 2)), more=f"page {number}")
            server.page(f"/p{number}", f"{links}<p>{number} {filler}")
        settings = CrawlSettings(
            bounds=Bounds(roots=(server.url("/p0"),)),
            fetch=FetchSettings(allow_private=True), concurrency=4, backoff=0.01,
        )  # fmt: skip
        command = [sys.executable, "-c", _CRAWL, settings.model_dump_json(), str(tmp_path / "a")]
        asked_before: list[tuple[int, set[str]]] = []
        for kill_at in (1, 9, 30, 75):
            child = subprocess.Popen(command)
            _wait_for(child, tmp_path / "a", kill_at)
            child.send_signal(signal.SIGKILL)
            child.wait()
            asked_before.append((len(server.requests), _recorded(tmp_path / "a")))
        assert subprocess.run(command, check=False).returncode == 0
        for count, recorded in asked_before:
            later = {asked.target for asked in server.requests[count:]}
            assert not later & recorded
        finished = len(server.requests)
        assert subprocess.run(command, check=False).returncode == 0
        assert len(server.requests) == finished
    found = outcomes(tmp_path / "a")
    assert {f"/p{number}" for number in range(number_of)} <= set(found)
    with Archive.open(tmp_path / "a") as archive:
        kept = Counter(row.url for row in archive.rows())
    assert set(kept.values()) == {1}
    assert len(kept) == len(found)


def _wait_for(child: subprocess.Popen[bytes], out: Path, number: int) -> None:
    """Until the journal has so many lines, or the child has ended."""
    until = time.monotonic() + 30
    while child.poll() is None and time.monotonic() < until:
        if (out / JOURNAL).exists() and (out / JOURNAL).read_bytes().count(b"\n") >= number:
            return
        time.sleep(0.001)


def _recorded(out: Path) -> set[str]:
    """The paths that the archive's index or the journal has a whole line of."""
    found = set()
    for name in ("index.jsonl", JOURNAL):
        if (out / name).exists():
            whole = (out / name).read_bytes().rpartition(b"\n")[0]
            found |= {json.loads(line).get("url", "") for line in whole.splitlines()}
    return {re.sub(r"^http://[^/]+", "", url) for url in found} - {"/robots.txt"}


async def test_what_the_archive_has_and_the_journal_has_not_is_read_and_not_fetched(
    tmp_path: Path,
) -> None:
    async with site(pages({"/": to("/a"), "/a": to("/b"), "/b": "end"})) as served:
        await go(tmp_path, f"{served.base}/")
        before, path = Counter(served.asked), tmp_path / JOURNAL
        for keep in range(4):
            path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:keep]))
            counts = await go(tmp_path, f"{served.base}/")
            assert (counts.asked, counts.pages) == (0, 3)
        assert served.asked == before
    with Archive.open(tmp_path) as archive:
        assert len(list(archive.rows())) == 4


# Readers


def exchange(html: str, url: str = "http://a.example/x/y", **headers: str) -> Exchange:
    named = {"content-type": "text/html; charset=utf-8", **headers}
    return Exchange(url, 200, tuple(named.items()), html.encode())


async def test_a_reader_that_was_lost_is_replaced() -> None:
    page = exchange('<a href="z">')
    async with Readers(1) as readers:
        assert (await readers.read(page)).links == ("http://a.example/x/z",)
        reader = readers._readers[0]
        assert reader._process is not None
        reader._process.kill()
        await reader._process.wait()
        with pytest.raises(Unreadable):
            await readers.read(page)
        found = await asyncio.gather(*(readers.read(page) for _ in range(20)))
    assert {reading.links for reading in found} == {("http://a.example/x/z",)}


@pytest.mark.parametrize(
    ("html", "links"),
    [
        ('<a href="z">', ["/x/z"]),
        ('<base href="/b/"><a href="z">', ["/b/z"]),
        ('<a href=" z ">', ["/x/z"]),
        ('<a href="javascript:x()"><a href="#top"><a href=""><a>', []),
        ('<frame src="f"><area href="g">', ["/x/g"]),
        ('<frameset><frame src="f"></frameset>', ["/x/f"]),
        ('<meta http-equiv="refresh" content="0; URL=\'/r\'">', ["/r"]),
        ('<link rel="next" href="n"><link rel="stylesheet" href="s">', ["/x/n"]),
        ('<a href="z" rel="external nofollow">', []),
        ('<meta name="robots" content="NONE"><a href="z">', []),
        ("<a href='http://[bad'><a href='http://ok.example'>", ["http://ok.example/"]),
    ],
)
def test_links_as_pages_write_them(html: str, links: list[str]) -> None:
    found = [url.removeprefix("http://a.example") for url in read_page(exchange(html)).links]
    assert found == links


def test_headers_may_ask_robots_too() -> None:
    reading = read_page(exchange('<a href="z">', **{"x-robots-tag": "noindex, nofollow"}))
    assert (reading.links, reading.indexed) == ((), False)


@pytest.mark.parametrize(
    "html",
    ["<div>" * 50_000 + "<main>" * 3, "<aside><main><nav></nav></main></aside>" * 50,
     "<nav>" * 3000, "<aside><nav><main>x<footer></footer></main></nav></aside>", "\0<a href=\0>",
     "<script>" * 2000],
)  # fmt: skip
def test_no_page_breaks_the_reading(html: str) -> None:
    assert read_page(exchange(html)).indexed


# A real site


def answer_docs(path: str, _: int) -> bytes | None:
    file = DOCS / path[1:]
    if not file.is_file():
        return None
    html = file.suffix == ".html"
    body = gzip.compress(file.read_bytes(), 1)
    return response(body, "text/html" if html else "text/plain",
                    headers={"Content-Encoding": "gzip"})  # fmt: skip


def walked(root: str, prefix: str) -> set[str]:
    """The pages that links lead to, read from the files with a regular expression."""
    todo, seen = [root], {root}
    while todo:
        path = todo.pop()
        text = (DOCS / path).read_text("utf-8", "replace") if (DOCS / path).is_file() else ""
        for href in re.findall(r'<a\b[^>]*\shref="([^"]+)"', text):
            target = urldefrag(urljoin(f"http://d/{path}", href)).url.removeprefix("http://d/")
            if target.startswith(prefix) and target.endswith(".html") and target not in seen:
                seen.add(target)
                todo.append(target)
    return {path for path in seen if (DOCS / path).is_file()}


@pytest.mark.skipif(not DOCS.is_dir(), reason="needs Debian's python3.11-doc")
async def test_the_tutorial_of_python_is_crawled_completely(tmp_path: Path) -> None:
    async with site(answer_docs) as served:
        root, prefix = f"{served.base}/tutorial/index.html", f"{served.base}/tutorial/"
        counts = await go(tmp_path, root, bounds={"allow": (prefix,)})
    found = {path[1:] for path, outcome in outcomes(tmp_path).items() if outcome == "page"}
    assert found == walked("tutorial/index.html", "tutorial/")
    assert counts.pages == len(found) >= 15
    assert counts.outcomes["duplicate"] == 0
    with Archive.open(tmp_path) as archive:
        for path in found:
            row = archive.row(f"{served.base}/{path}")
            assert row is not None
            assert archive.read(row).body == (DOCS / path).read_bytes()


# The command


@pytest.fixture
def webfarer(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Webfarer:
    return Webfarer(monkeypatch, capfd)


def test_the_command_crawls_indexes_and_goes_on(tmp_path: Path, webfarer: Webfarer) -> None:
    out, private = str(tmp_path / "archive"), ("--allow-private", "--readers", "0")
    with hostile_thread() as server:
        server.page("/", "<title>Bees</title><p>Bees have wings, and <a href='/wasps'>wasps</a>.")
        server.page("/wasps", "<title>Wasps</title><p>Wasps build paper nests.")
        crawling = ("web", "crawl", server.url("/"), "--out", out, *private)
        first = webfarer(*crawling, "--json").json
        assert (first["pages"], first["requests"], first["outcomes"]["rules"]) == (2, 3, 1)
        again = webfarer(*crawling)
        assert "nothing was asked for" in again.err
        assert re.search(r"pages +│ +2", again.out)
        assert "was crawled with reach host" in webfarer(*crawling, "--same-site").complaint
    found = webfarer("web", "search", out, "paper nests", "--json").json
    assert found[0]["title"] == "Wasps"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("http://127.0.0.1:9/",),
            1,
            "no page could be had of http://127.0.0.1:9/: on a private network",
        ),
        (("nonsense",), 2, "'nonsense' is no web address"),
        (("http://a.example/", "--route", "a.example"), 2, "give HOST=URL"),
        (("http://a.example/", "--user-agent", "/x"), 2, "'/x' is no user agent: give a name"),
        (("http://a.example/", "--route", "a.example=x"), 2, "a route has to lead to"),
    ],
)
def test_the_command_complains_in_one_line(
    tmp_path: Path, webfarer: Webfarer, arguments: tuple[str, ...], code: int, said: str
) -> None:
    found = webfarer("web", "crawl", *arguments, "--out", str(tmp_path / "a"), "--quiet")
    assert found.code == code
    (line,) = found.err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x04N.", b"[]", b"[1, 2, 3]", b'[["a"], [1, 2], true]']
)
def test_what_a_broken_reader_says_is_never_taken_for_a_reading(data):
    """Bytes from a process that read strangers' pages are parsed as JSON and never unpickled."""
    with pytest.raises(ValueError, match=r"."):
        heard(data)


def test_a_reading_goes_through_the_pipe_as_it_is():
    for near in (None, 2**64 - 1):
        reading = Reading(("http://a/é", "http://a/b"), Print(1, 2**63, near), indexed=False)
        assert heard(told(reading)[SIZE.size :]) == reading
