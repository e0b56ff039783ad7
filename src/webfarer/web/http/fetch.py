"""`Fetcher`: asks servers that are not ours for pages, and comes to no harm by it.

Only http and https; only public addresses (see `addresses`), judged at every connection and so
after every redirect; every exchange bounded in seconds and in bytes, as sent and once decompressed.
It keeps no cookies, sends no credentials and knows no proxies, so that nothing that one caller did
can be seen by another; connections are shared, which no page can tell.

The HTTP is that of httpx, by its own engine, at a fifth of the time a request or less
(`connections`, and benchmarks/fetch.py).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

import httpcore
from pydantic import Field, field_validator

from webfarer import __version__
from webfarer.types.base import Record
from webfarer.types.errors import BadInput
from webfarer.web.http.addresses import Network, Resolve, Unreachable, system_resolver
from webfarer.web.http.canonical import canonical
from webfarer.web.http.connections import Connections, Origin
from webfarer.web.http.exchange import Exchange, FaultKind, FetchError
from webfarer.web.http.inflate import Broken, Inflate, TooLarge

_PORTS = {"http": 80, "https": 443}
_ACCEPT = b"text/html,application/xhtml+xml,text/plain;q=0.9,*/*;q=0.5"
_AGENT = re.compile(r"[!-.0-~][ -~]*")  # what a header can hold, a product's name first
_BREATH = 64  # pieces of a body after which others have their turn
_MAX_PIECES = 50_000  # a body in crumbs costs a second of work even so


class FetchSettings(Record):
    """Who asks, and the limits of one exchange: seconds, bytes, redirects, connections."""

    user_agent: str = f"webfarer/{__version__}"
    connect_timeout: float = Field(default=10.0, gt=0)
    timeout: float = Field(
        default=30.0, gt=0
    )  # from request to last byte, so that dripping bodies end
    max_bytes: int = Field(default=10 << 20, gt=0)  # of a body, both as sent and decompressed
    max_header_bytes: int = Field(
        default=64 << 10, gt=0, le=100_000
    )  # httpcore's own limit is 100 KiB
    max_redirects: int = Field(default=10, ge=0)
    allow_private: bool = False
    connections: int = Field(default=32, gt=0)
    connections_per_host: int = Field(default=8, gt=0)

    @field_validator("user_agent")
    @classmethod
    def _names_who_asks(cls, text: str) -> str:
        if not _AGENT.fullmatch(text):
            raise ValueError(f"{text!r} is no user agent: give a name first, as in reader/1.0")
        return text


class _Target(NamedTuple):
    """Where a request goes: the origin to connect to, and what to ask it for."""

    origin: Origin
    host: bytes
    url: httpcore.URL


class Fetcher:
    """Fetches pages; an asynchronous context manager, to be closed. Good for any event loop.

    `routes` leads hosts elsewhere, like curl's --connect-to: with {"atlas.example":
    "http://127.0.0.1:8000"}, https://atlas.example/x is asked of that server, by its own name. A
    route is the caller's own word, so it may lead to a private address. `resolve` gives a host's IP
    addresses in place of the system's resolver. Of a media type that is not `wanted` no more than
    the headers are read, and the body is empty.
    """

    def __init__(
        self,
        settings: FetchSettings = FetchSettings(),  # noqa: B008  (it is frozen)
        routes: Mapping[str, str] | None = None,
        resolve: Resolve | None = None,
        wanted: Callable[[str], bool] = lambda content_type: True,
    ) -> None:
        self.settings = settings
        self._wanted = wanted
        self._routes = {host.lower(): _route(host, base) for host, base in (routes or {}).items()}
        self._threads = ThreadPoolExecutor(8, "resolve")
        resolver, seconds = resolve or system_resolver(self._threads), settings.connect_timeout
        self._connections = Connections(
            Network(resolver, allow_private=settings.allow_private, timeout=seconds),
            Network(resolver, allow_private=True, timeout=seconds),
            settings.connections,
            settings.connections_per_host,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._connections.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Exchange:
        """One request and its answer; a redirect is an answer. Waiting for a free connection is
        not part of its time. Raises `FetchError`."""
        target = self._target(url)
        async with self._connections.turn(target.origin.name):
            limit = asyncio.timeout(self.settings.timeout)
            try:
                async with limit:
                    return await self._exchange(url, target, headers or {})
            except TimeoutError:
                if not limit.expired():
                    raise
                message = f"no complete answer within {self.settings.timeout:g} s"
                raise FetchError("timeout", url, f"{url}: {message}") from None

    async def follow(self, url: str) -> tuple[Exchange, ...]:
        """The exchanges from this URL through its redirects to the answer, which is the last.
        Raises `FetchError`; of kind "redirects" for a circle or too many."""
        return tuple([exchange async for exchange in self.hops(url)])

    async def hops(
        self, url: str, allow: Callable[[str], bool] = lambda url: True
    ) -> AsyncIterator[Exchange]:
        """The exchanges of `follow`, each as it comes. A canonical URL that `allow` denies is not
        asked for, and raises `FetchError` of kind "not_allowed"."""
        seen: set[str] = set()
        while True:
            spelled = canonical(url) or url
            if not allow(spelled):
                raise FetchError("not_allowed", url, f"{url}: its host is not on the list")
            seen.add(spelled)
            exchange = await self.get(url)
            yield exchange
            if not exchange.location:
                return
            url = _next(exchange, seen, self.settings.max_redirects)

    def _target(self, url: str) -> _Target:
        spelled = canonical(url)
        if spelled is None:
            message = "not a web address: only http and https are fetched, without a user name"
            raise FetchError("scheme", url, f"{url[:200]}: {message}")
        parts = urlsplit(spelled)
        name = parts.hostname or ""
        base = self._routes.get(name)
        there = base or parts
        port = there.port or _PORTS[there.scheme]
        origin = Origin(there.scheme, there.hostname or "", port, name, base is not None)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        asked = httpcore.URL(
            scheme=origin.scheme.encode(),
            host=origin.host.encode(),
            port=port,
            target=path.encode(),
        )
        return _Target(origin, parts.netloc.encode(), asked)

    async def _exchange(self, url: str, target: _Target, headers: Mapping[str, str]) -> Exchange:
        clock = asyncio.get_running_loop().time
        at, started = datetime.now(UTC), clock()
        try:
            response, body = await self._ask(target, headers)
        except (Unreachable, TooLarge, Broken) as error:
            raise FetchError(_kind(error), url, f"{url}: {error}") from None
        except (httpcore.ProtocolError, httpcore.NetworkError, OSError) as error:
            raise _broken_off(error, url) from None
        return Exchange(
            url=url,
            status=response.status,
            headers=tuple((_text(name), _text(value)) for name, value in response.headers),
            body=body,
            reason=_text(response.extensions["reason_phrase"]),
            address=response.extensions["network_stream"].get_extra_info("address") or "",
            at=at,
            seconds=clock() - started,
        )

    async def _ask(
        self, target: _Target, headers: Mapping[str, str]
    ) -> tuple[httpcore.Response, bytes]:
        request = httpcore.Request("GET", target.url, headers=self._headers(target.host, headers))
        async with self._connections.connection(target.origin) as connection:
            response = await connection.http.handle_async_request(request)
            try:
                return response, await self._body(response)
            finally:
                await response.aclose()

    def _headers(self, host: bytes, more: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        named = {
            b"user-agent": self.settings.user_agent.encode(),
            b"accept": _ACCEPT,
            b"accept-encoding": b"gzip, deflate",
        }
        named |= {name.lower().encode(): value.encode() for name, value in more.items()}
        return [(b"host", host), *named.items()]

    async def _body(self, response: httpcore.Response) -> bytes:
        """The body, decompressed. Raises `TooLarge` and `Broken`."""
        most = self.settings.max_bytes
        if sum(len(name) + len(value) for name, value in response.headers) > (
            self.settings.max_header_bytes
        ):
            raise TooLarge("its headers are longer than is allowed")
        kind = b"".join(_all(response, b"content-type")[:1]).partition(b";")[0]
        if not self._wanted(_text(kind).strip().lower()):
            return b""
        if (said := _said_length(response)) > most:
            raise TooLarge(f"it has {said:,} bytes, and {most:,} are allowed")
        inflate = Inflate((_text(value) for value in _all(response, b"content-encoding")), most)
        body, sent, pieces = bytearray(), 0, 0
        async for piece in response.aiter_stream():
            body += inflate.feed(piece)
            sent, pieces = sent + len(piece), pieces + 1
            if sent > most or pieces > _MAX_PIECES:
                raise TooLarge(f"it goes on after {most:,} bytes or {_MAX_PIECES:,} pieces")
            if pieces % _BREATH == 0:
                await asyncio.sleep(0)
        inflate.finish()
        return bytes(body)


def _route(host: str, base: str) -> SplitResult:
    spelled = canonical(base)
    if spelled is None:
        raise BadInput(f"a route has to lead to an http address: {host} leads to {base!r}")
    return urlsplit(spelled)


def _next(exchange: Exchange, seen: set[str], most: int) -> str:
    """Where a redirect leads. Raises `FetchError`."""
    url, where = exchange.url, exchange.location
    there = canonical(where, url)
    if there is None:
        message = f"redirects to {where[:200]!r}, which is not a web address"
        raise FetchError("scheme", url, f"{url}: {message}")
    if there in seen:
        raise FetchError("redirects", url, f"{url}: redirects in a circle, by way of {there}")
    if len(seen) > most:
        raise FetchError("redirects", url, f"{url}: more than {most} redirects")
    return there


def _kind(error: Unreachable | TooLarge | Broken) -> FaultKind:
    if isinstance(error, Unreachable):
        return error.kind
    return "too_large" if isinstance(error, TooLarge) else "encoding"


def _broken_off(error: Exception, url: str) -> FetchError:
    """What went wrong once connected."""
    # httpcore's error holds h11's, whose hint is 431 where no end of the headers was in sight.
    if any(getattr(one, "error_status_hint", 0) == 431 for one in error.args):
        return FetchError("too_large", url, f"{url}: its headers are longer than is allowed")
    if isinstance(error, httpcore.ProtocolError):
        return FetchError("protocol", url, f"{url}: what came back is not whole HTTP ({error})")
    return FetchError("protocol", url, f"{url}: the connection broke off ({error})")


def _all(response: httpcore.Response, name: bytes) -> list[bytes]:
    return [value for key, value in response.headers if key.lower() == name]


def _said_length(response: httpcore.Response) -> int:
    lengths = _all(response, b"content-length")
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


def _text(header: bytes) -> str:
    """Headers are ASCII; where they are not, most often UTF-8."""
    try:
        return header.decode("utf-8")
    except UnicodeDecodeError:
        return header.decode("latin-1")
