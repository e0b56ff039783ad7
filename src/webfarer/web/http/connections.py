"""`Connections`: a fetcher's open connections and whose turn it is, in each event loop apart.

Neither sockets nor locks outlive the event loop that they were made in, and whoever runs several
loops one after another (a rollout does, for each of its chunks) would otherwise need a fetcher for
each. A loop's connections are closed with it.

A connection is httpcore's, the engine of httpx: HTTP/1.1 by h11, over asyncio's streams. Its pool
is left out: it walks over all connections several times a request, and looks for a module that is
not there each time, which together cost more than the request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from ssl import SSLContext
from typing import NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary

import httpcore

from webfarer.web.http.addresses import Network, Stream

_IDLE_SECONDS = 4.0  # less than servers wait before they close, so that none closes under us


class Origin(NamedTuple):
    """Where connections lead, by what and on whose word: two that differ in any share none. `name`
    is the host that was asked for, which TLS verifies; a route may lead elsewhere."""

    scheme: str
    host: str
    port: int
    name: str
    routed: bool = False


class Connection(NamedTuple):
    """An open connection: HTTP, and the stream beneath it."""

    http: httpcore.AsyncHTTP11Connection
    stream: Stream

    def is_whole(self) -> bool:
        """Whether its last exchange is over and nothing came behind the answer: bytes that nobody
        asked for would be taken for the answer to the next request, and so on ever after."""
        behind, _ = self.http._h11_state.trailing_data
        return self.http.is_idle() and not behind


class Connections:
    """At most `most` requests at once, and `per_host` of one host. Routed connections go by a
    network of their own."""

    def __init__(self, public: Network, routed: Network, most: int, per_host: int) -> None:
        self._public, self._routed = public, routed
        self._most, self._per_host = most, per_host
        self._loops: WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[_Here, AsyncGenerator[None]]
        ] = WeakKeyDictionary()

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Waits for one's turn to ask that host."""
        here = await self._here()
        slot = here.hosts.setdefault(host, asyncio.Semaphore(self._per_host))
        async with slot, here.total:
            yield

    @asynccontextmanager
    async def connection(self, origin: Origin) -> AsyncIterator[Connection]:
        """A connection, for one request; kept for the next where it is whole. Raises
        `Unreachable`."""
        here = await self._here()
        connection = here.take(origin) or await self._connect(origin)
        try:
            yield connection
        finally:
            here.give(origin, connection)

    async def _connect(self, origin: Origin) -> Connection:
        network = self._routed if origin.routed else self._public
        tls = default_tls() if origin.scheme == "https" else None
        stream = await network.connect(origin.host, origin.port, tls, origin.name)
        there = httpcore.Origin(origin.scheme.encode(), origin.host.encode(), origin.port)
        return Connection(httpcore.AsyncHTTP11Connection(there, stream, _IDLE_SECONDS), stream)

    async def aclose(self) -> None:
        """Closes those of the running loop."""
        if kept := self._loops.pop(asyncio.get_running_loop(), None):
            await kept[1].aclose()

    async def _here(self) -> _Here:
        loop = asyncio.get_running_loop()
        kept = self._loops.get(loop)
        if kept is None:
            here = _Here(self._most)
            kept = self._loops[loop] = here, _at_the_end(here)
            await anext(kept[1])
        return kept[0]


class _Here:
    """What belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self.total = asyncio.Semaphore(most)
        self.hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._idle: deque[tuple[Origin, Connection]] = deque()
        self._most = most

    def take(self, origin: Origin) -> Connection | None:
        """An idle connection that still stands; those that do not are dropped on the way."""
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place][0] == origin:
                connection = self._idle[place][1]
                del self._idle[place]
                if not connection.http.has_expired():
                    return connection
                connection.stream.close()
        return None

    def give(self, origin: Origin, connection: Connection) -> None:
        """Keeps the connection where it is whole; the oldest makes room."""
        if not connection.is_whole():
            connection.stream.close()
            return
        self._idle.append((origin, connection))
        if len(self._idle) > self._most:
            self._idle.popleft()[1].stream.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].stream.close()


async def _at_the_end(here: _Here) -> AsyncGenerator[None]:
    """Left waiting, it is closed with its event loop (PEP 525), and closes the connections."""
    try:
        yield
    finally:
        here.close()


@cache
def default_tls() -> SSLContext:
    """One for all: reading the certificates takes longer than a page."""
    return httpcore.default_ssl_context()
