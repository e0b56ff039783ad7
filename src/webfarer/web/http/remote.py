"""`HttpWeb`: a web that is served somewhere, searched and read over real HTTP.

What is sent is read as any page is, so that pages, hits and statuses are those that the web gives
in its own process. The server is ours: where it is down or breaks, our side broke, and no agent is
told about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from json import loads
from urllib.parse import quote, urlsplit

from webfarer.graph.graph import Language
from webfarer.types import FailureError, FailureKind, Hit, Page
from webfarer.web.absent import not_archived, not_found, refused
from webfarer.web.http.canonical import MAX_LENGTH, canonical
from webfarer.web.http.exchange import Exchange, FetchError
from webfarer.web.http.fetch import Fetcher, FetchSettings
from webfarer.web.http.serve import CHOICE, MISS, MOST_QUERIES
from webfarer.web.reading import page_of

_PAUSE = 0.05  # seconds before the first retry; twice as long before each one after it
_BUSY = (502, 503, 504)


class HttpWeb:
    """A web behind a server such as `webfarer web serve` starts: implements `Web`.

    `base` is the address of its main site, `hosts` are the names of all of them, and `server` is
    where they are served ("http://127.0.0.1:8000"), `language` that of its pages. A fault that may
    pass is met with up to `retries` more attempts. Holds nothing of any rollout: connections are
    shared, and nothing that came over them is kept.
    """

    def __init__(
        self,
        name: str,
        base: str,
        server: str,
        hosts: Sequence[str] = (),
        *,
        language: Language = "en",
        settings: FetchSettings | None = None,
        retries: int = 3,
    ) -> None:
        self.name, self.base, self.server = name, base.rstrip("/"), server.rstrip("/")
        self.hosts = tuple(hosts) or (urlsplit(base).netloc,)
        self.language: Language = language
        self._settings = settings or FetchSettings(connections=64, connections_per_host=64)
        self._retries = retries
        self._open: dict[asyncio.AbstractEventLoop, Fetcher] = {}
        self._keeping: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}

    async def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """At most k hits for each query; a query too long for an address is cut to what fits.

        Raises FailureError("search") where the server does not answer as it should.
        """
        if k <= 0:
            return [[] for _ in queries]
        start = f"{self.base}/search?k={k}"
        batches = self._batches(queries, start)
        answers = await asyncio.gather(*(self._ask(start, batch) for batch in batches))
        return [hits for answer in answers for hits in answer]

    async def visit(self, url: str) -> Page:
        """The page at the URL, "not_found" where there is none, "refused" off the web's hosts,
        also where a redirect leads there.

        Raises FailureError("web") where the server is down, or breaks.
        """
        at, seen = self._own(canonical(url)), set[str]()
        while at is not None:
            exchange = await self._get(at, "web")
            if not exchange.location:
                return self._page(exchange)
            seen.add(at)
            after = canonical(exchange.location, at)
            at = self._own(after)
            if at is None:
                return refused(after or exchange.location, self.base, self.language)
            if at in seen or len(seen) > self._settings.max_redirects:
                said = f"The redirects from {url} never end."
                return Page(url, "Unloadable", said, (), "unloadable")
        return refused(url, self.base, self.language)

    def _own(self, url: str | None) -> str | None:
        """The URL if it is on a host of the web's, with the scheme of its sites."""
        parts = urlsplit(url or "")
        if parts.netloc not in self.hosts:
            return None
        return parts._replace(scheme=urlsplit(self.base).scheme).geturl()

    def _page(self, exchange: Exchange) -> Page:
        miss = exchange.header(MISS)
        if miss == "not_archived":
            return not_archived(exchange.url, self.name)
        return not_found(exchange.url, self.language) if miss == "not_found" else page_of(exchange)

    # Search

    def _batches(self, queries: Sequence[str], start: str) -> Iterator[list[str]]:
        """The queries as parameters behind the start of an address, as many together as fit."""
        room = MAX_LENGTH - len(start)
        batch: list[str] = []
        for query in queries:
            asked = _parameter(query, room)
            if batch and (len(batch) == MOST_QUERIES or sum(map(len, batch)) + len(asked) > room):
                yield batch
                batch = []
            batch.append(asked)
        if batch:
            yield batch

    async def _ask(self, start: str, batch: Sequence[str]) -> list[list[Hit]]:
        url = start + "".join(batch)
        exchange = await self._get(url, "search", {"Accept": "application/json"})
        try:
            results = zip(batch, loads(exchange.body)["results"], strict=True)
            return [[Hit(**hit) for hit in result["hits"]] for _, result in results]
        except (ValueError, KeyError, TypeError) as error:  # no JSON, or other than we ask for
            said = f"{self.server} gave no search results ({exchange.status})"
            raise FailureError("search", said) from error

    # Requests

    async def _get(
        self, url: str, kind: FailureKind, headers: dict[str, str] | None = None
    ) -> Exchange:
        """The answer, after as many retries as it takes and are allowed."""
        fetcher = await self._fetcher()
        chosen = {CHOICE: quote(self.name), **(headers or {})}
        said = ""
        for attempt in range(1 + self._retries):
            if attempt:
                await asyncio.sleep(_PAUSE * 2 ** (attempt - 1))
            try:
                exchange = await fetcher.get(url, chosen)
            except FetchError as error:
                said, passing = str(error), error.passing
            else:
                if exchange.status < 500 and exchange.status != 421:
                    return exchange
                said, passing = f"{url}: {exchange.status}", exchange.status in _BUSY
            if not passing:
                break
        raise FailureError(kind, f"{said}; is {self.name} served at {self.server}?")

    async def _fetcher(self) -> Fetcher:
        """The fetcher of the running event loop, which closes it at its own end: connections
        cannot outlive their loop, and every chunk of attempts runs in a loop of its own."""
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            fetcher = Fetcher(self._settings, dict.fromkeys(map(_name, self.hosts), self.server))
            self._open[loop] = fetcher
            self._keeping[loop] = self._kept(loop, fetcher)
            await anext(self._keeping[loop])
        return self._open[loop]

    async def _kept(
        self, loop: asyncio.AbstractEventLoop, fetcher: Fetcher
    ) -> AsyncGenerator[None]:
        """Left waiting, it is closed with its event loop (PEP 525), and closes the fetcher."""
        try:
            async with fetcher:
                yield
        finally:
            del self._open[loop], self._keeping[loop]


def _name(host: str) -> str:
    return urlsplit(f"//{host}").hostname or host


def _parameter(query: str, room: int) -> str:
    """A query as a parameter; of one that is too long, the start."""
    text = query.encode("utf-8", "replace").decode()
    asked = f"&q={quote(text, safe='')}"
    while len(asked) > room:
        text = text[: len(text) * room // (len(asked) + 1)]
        asked = f"&q={quote(text, safe='')}"
    return asked
