"""`ArchiveWeb`: search and visit over an archive. A moving web, held still.

Offline and the same every time: what an archive does not have is said to be missing, and is never
fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from threading import Lock
from urllib.parse import urlsplit

from webfarer.graph.graph import Language
from webfarer.types import FailureError, Hit, Page
from webfarer.web.absent import not_archived
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.pages import Pages, Say, build_pages, open_pages
from webfarer.web.archive.rows import Row
from webfarer.web.http.canonical import canonical
from webfarer.web.http.charset import decode
from webfarer.web.http.exchange import Exchange
from webfarer.web.index import SearchIndex
from webfarer.web.reading import page_of

MAX_HOPS = 20  # redirects one after another, as browsers do


class ArchiveWeb:
    """The web that an archive holds: implements `Web`. Holds nothing of any rollout.

    `allow` names the hosts that may be visited (all). With `strict` a page that was never recorded
    is a failure of the run, where it is otherwise a page of status "not_archived". Pages are
    extracted and indexed at the first search, by `jobs` processes (0: one a core), and kept in the
    archive's folder; `cache` pages are kept in memory.
    """

    language: Language = "en"  # of what is said of it, whatever its pages are in

    def __init__(
        self,
        archive: Archive,
        name: str = "",
        *,
        allow: Collection[str] | None = None,
        strict: bool = False,
        cache: int = 512,
        jobs: int = 0,
        say: Say | None = None,
    ) -> None:
        self.archive = archive
        self.name = name or archive.folder.resolve().name
        self._allow = None if allow is None else {host.lower() for host in allow}
        self._strict = strict
        self._jobs, self._say = jobs, say
        self._lock = Lock()
        self._pages: Pages | None = open_pages(archive)
        self._index: SearchIndex | None = None
        self._kept = lru_cache(maxsize=cache)(self._load)

    async def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """At most k hits for each query. Raises FailureError where pages cannot be read."""
        return await asyncio.to_thread(self._search, queries, k)

    async def visit(self, url: str) -> Page:
        """The page as it was recorded, redirects followed as they were recorded.

        "refused" for what is no http(s) address or not on an allowed host, "not_archived" for what
        the archive does not have (with `strict`, FailureError).
        """
        return await asyncio.to_thread(self.page, url)

    def page(self, url: str) -> Page:
        """`visit` for those who wait."""
        found = self._follow(url)
        if isinstance(found, Row):
            return self._kept(found.url, found.file, found.offset)
        if self._strict and found.status == "not_archived":
            raise FailureError("web", found.text)
        return found

    def exchange(self, url: str) -> Exchange | None:
        """What the server sent at the end of the redirects; None where a visit finds no record."""
        found = self._follow(url)
        return self.archive.read(found) if isinstance(found, Row) else None

    def html(self, url: str) -> str | None:
        """The text that the server sent, as HTML or otherwise; None where there is no record."""
        exchange = self.exchange(url)
        return exchange and decode(exchange.body, exchange.header("content-type"))

    # What a server of this web needs

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the sites, with their ports where they have one; the largest first."""
        count: dict[str, int] = {}
        for row in self.archive.latest():
            host = urlsplit(row.url).netloc
            count[host] = count.get(host, 0) + 1
        return tuple(sorted(count, key=lambda host: (-count[host], host)))

    def respond(self, url: str) -> Exchange | None:
        """What was recorded for this very URL, be it a redirect; None where nothing was."""
        row = self.archive.row(url)
        return row and self.archive.read(row)

    def urls(self) -> Iterator[str]:
        """The addresses of pages that were recorded, in order."""
        return (row.url for row in self.archive.latest() if row.status == 200)

    # Inside

    def _search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        index = self.index
        return [index.search(query, k) for query in queries]

    @property
    def index(self) -> SearchIndex:
        """The search index, made where the archive's folder has none of what it holds now."""
        with self._lock:
            if self._index is None:
                self._pages = self._pages or build_pages(self.archive, self._jobs, self._say)
                self._index = self._pages.index
            return self._index

    def _follow(self, url: str) -> Row | Page:
        """The record that the URL leads to, or the page that says why there is none."""
        at, seen = canonical(url), set[str]()
        while at is not None and (self._allow is None or _host(at) in self._allow):
            row = self.archive.row(at)
            if row is None:
                return not_archived(at, self.name)
            if not row.location:
                return row
            seen.add(at)
            at = canonical(row.location, at)
            if at in seen or len(seen) > MAX_HOPS:
                said = f"The redirects from {url} never end."
                return Page(url, "Unloadable", said, (), "unloadable")
        said = f"{url} may not be fetched: it is no web address, or on a host that is not allowed."
        return Page(url, "Refused", said, (), "refused")

    def _load(self, url: str, file: str, offset: int) -> Page:
        """The page of a URL's latest record, whose place is in the key so that a newer is read."""
        row = self.archive.row(url)
        assert row is not None, (file, offset)
        kept = self._pages.page(row) if self._pages is not None else None
        return kept or page_of(self.archive.read(row))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
