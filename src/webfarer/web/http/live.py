"""`LiveWeb`: the web out there as a `Web`, page by page.

What it says is an observation: a page, a 404, a page that will not load after its retries, an
address that may not be fetched. It keeps nothing from one visit to the next, so no task can tell
what another did; to hold still what it says, a recorder is given every exchange, which an archive
then replays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from webfarer.types import FailureError, Hit, Page
from webfarer.web.http.canonical import canonical
from webfarer.web.http.exchange import Exchange, FaultKind, FetchError
from webfarer.web.http.fetch import Fetcher
from webfarer.web.reading import page_of

Search = Callable[[Sequence[str], int], Awaitable[list[list[Hit]]]]

_REFUSED: frozenset[FaultKind] = frozenset({"scheme", "private", "not_allowed"})
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class Recorder(Protocol):
    """What keeps exchanges: an archive."""

    def record(self, exchange: Exchange) -> None: ...


class LiveWeb:
    """Visits pages with a fetcher, which stays the caller's to close; implements `Web`.

    `allow` names the only hosts that may be visited, redirects included. What may pass (a site that
    is down or slow, a 503) is asked for again up to `retries` times, after `pause` seconds and then
    twice as long each time. `recorder` is given every exchange, redirects included. `search` is
    another web's search; a live web has none of its own. Pages are extracted in the event loop's
    threads, of which there are a few, so that reading one keeps no other from being fetched.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        name: str = "live",
        *,
        allow: Collection[str] | None = None,
        retries: int = 2,
        pause: float = 0.5,
        recorder: Recorder | None = None,
        search: Search | None = None,
    ) -> None:
        self.name = name
        self._fetcher = fetcher
        self._hosts = None if allow is None else frozenset(host.lower() for host in allow)
        self._retries, self._pause = retries, pause
        self._recorder = recorder
        self._search = search

    async def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """At most k hits for each query, by the search that was given. Raises FailureError without
        one, since no search is not the same as nothing found."""
        if self._search is None:
            raise FailureError(
                "search", "a live web has no search of its own: give it one, or search an archive"
            )
        return await self._search(queries, k)

    async def visit(self, url: str) -> Page:
        """The page at the end of the redirects, or one that says why there is none: "refused" for
        what is no web address, private or not on the list; "unloadable" for what does not come."""
        try:
            exchange = await self._load(canonical(url) or url)
        except FetchError as error:
            refused = error.kind in _REFUSED
            title = "Refused" if refused else "Unloadable"
            return Page(url, title, str(error), (), "refused" if refused else "unloadable")
        return await asyncio.to_thread(page_of, exchange)

    def _allowed(self, url: str) -> bool:
        return self._hosts is None or (urlsplit(url).hostname or "") in self._hosts

    async def _load(self, url: str) -> Exchange:
        """The answer, asked for again where that may help. Raises `FetchError`."""
        for attempt in range(self._retries):
            try:
                exchange = await self._once(url)
            except FetchError as error:
                if not error.passing:
                    raise
            else:
                if exchange.status not in _TRY_AGAIN:
                    return exchange
            await asyncio.sleep(self._pause * 2**attempt)
        return await self._once(url)

    async def _once(self, url: str) -> Exchange:
        """The last of the exchanges from here, each recorded."""
        exchange = None
        async for exchange in self._fetcher.hops(url, self._allowed):
            if self._recorder is not None:
                await asyncio.to_thread(self._recorder.record, exchange)
        assert exchange is not None  # hops gives one or raises
        return exchange
