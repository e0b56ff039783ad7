"""A web server that misbehaves byte by byte, for the tests of everything that fetches.

It speaks over raw sockets, so that it can send what no HTTP library would. It listens on 127.0.0.1
and a port of its own, and is bounded: so many connections, so many seconds and so many bytes each.

    async with hostile() as server:          # in the test's own event loop
        await fetcher.get(server.url("/drip"))

    with hostile_thread() as server:         # beside code that is not asynchronous
        server.page("/a.html", "<p>Hello")

Paths that it knows are the `_`-named methods of `_Behaviours` (`/drip`, `/bomb`, ...); more are
given with `page` (a proper response) and `raw` (any bytes). `requests` is what was asked, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import threading
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

MAX_CONNECTIONS = 400
MAX_SECONDS = 20.0  # of one connection
MAX_SENT = 64 << 20  # bytes down one connection
HTML = "text/html; charset=utf-8"
HELLO = b"<html><head><title>Hello</title></head><body><p>Hello, reader of pages.</p></body></html>"


@dataclass(frozen=True)
class Asked:
    """One request as it came: headers by lower-case name."""

    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    def get(self, name: str, default: str = "") -> str:
        """A parameter of the query."""
        return parse_qs(urlsplit(self.target).query).get(name, [default])[0]


def response(
    body: bytes | str = HELLO,
    content_type: str = HTML,
    status: str = "200 OK",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A proper response as bytes."""
    data = body.encode() if isinstance(body, str) else body
    fields = {"Content-Type": content_type, "Content-Length": str(len(data)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + data


def bomb(members: int = 1000, member_bytes: int = 10 << 20) -> bytes:
    """Gzip that is about a thousandth of what it expands to: by default 10 MB for 10 GB."""
    return gzip.compress(bytes(member_bytes), 9, mtime=0) * members


class Sender:
    """What a behaviour sends with: stops at the connection's limit of bytes."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer, self._sent = writer, 0

    async def __call__(self, data: bytes) -> None:
        self._sent += len(data)
        if self._sent > MAX_SENT:
            raise ConnectionError("enough")
        self._writer.write(data)
        await self._writer.drain()

    async def chunk(self, data: bytes) -> None:
        await self(b"%x\r\n%b\r\n" % (len(data), data))


@dataclass
class Hostile:
    """The running server."""

    port: int = 0
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0  # that were opened
    most_at_once: int = 0  # of them
    _fixed: dict[str, bytes] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def base(self) -> str:
        """The server's origin, such as a route leads to."""
        return f"http://127.0.0.1:{self.port}"

    def page(self, path: str, body: bytes | str, content_type: str = HTML, **headers: str) -> str:
        """Answers that path (with its query, if it has one) with the body; gives its URL."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.raw(path, response(body, content_type, headers=named))

    def raw(self, path: str, data: bytes) -> str:
        """Answers that path with these very bytes; gives its URL."""
        self._fixed[path] = data
        return self.url(path)

    def asked(self, path: str) -> int:
        """How often that path was asked for."""
        return sum(one.path == path for one in self.requests)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.most_at_once = max(self.most_at_once, len(self._tasks))
        try:
            if len(self._tasks) <= MAX_CONNECTIONS:
                async with asyncio.timeout(MAX_SECONDS):
                    while await self._answer(reader, writer):
                        pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the client left, or the connection has had its share
        except asyncio.CancelledError:
            return  # the server is closing
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; whether the connection stays open."""
        asked = _read(await reader.readuntil(b"\r\n\r\n"))
        self.requests.append(asked)
        send = Sender(writer)
        fixed = self._fixed.get(asked.target, self._fixed.get(asked.path))
        if fixed is not None:
            await send(fixed)
            return b"content-length:" in fixed.lower()
        name = asked.path[1:].replace("-", "_")
        behaviour = getattr(_BEHAVIOURS, f"_{name}", None)
        if behaviour is None:
            await send(response("<p>There is no such page.", status="404 Not Found"))
            return True
        return bool(await behaviour(asked, send))


def _read(head: bytes) -> Asked:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return Asked(first.split(" ")[1], {key.lower(): value.strip() for key, _, value in pairs})


_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Behaviours:
    """One method for each path; those that return True leave the connection open."""

    async def _ok(self, asked: Asked, send: Sender) -> bool:
        await send(response())
        return True

    async def _status(self, asked: Asked, send: Sender) -> bool:
        """/status?code=503"""
        await send(response(f"<p>Status {asked.get('code')}.", status=f"{asked.get('code')} So"))
        return True

    async def _echo(self, asked: Asked, send: Sender) -> bool:
        """The request itself, as JSON."""
        text = json.dumps({"target": asked.target, "headers": dict(asked.headers)})
        await send(response(text, "application/json"))
        return True

    async def _cookie(self, asked: Asked, send: Sender) -> bool:
        """Sets a cookie, and shows the one that was sent."""
        body = f"<p>Your cookie is {asked.headers.get('cookie', 'none')}."
        await send(response(body, headers={"Set-Cookie": "id=42; Path=/"}))
        return True

    async def _gzip(self, asked: Asked, send: Sender) -> bool:
        await send(response(gzip.compress(HELLO), headers={"Content-Encoding": "gzip"}))
        return True

    async def _members(self, asked: Asked, send: Sender) -> bool:
        """Gzip of several members, which is one body."""
        body = gzip.compress(HELLO[:40]) + gzip.compress(HELLO[40:])
        await send(response(body, headers={"Content-Encoding": "x-gzip"}))
        return True

    async def _deflate(self, asked: Asked, send: Sender) -> bool:
        await send(response(zlib.compress(HELLO), headers={"Content-Encoding": "deflate"}))
        return True

    async def _raw_deflate(self, asked: Asked, send: Sender) -> bool:
        """Deflate without its zlib header, as some servers send it."""
        body = zlib.compress(HELLO)[2:-4]
        await send(response(body, headers={"Content-Encoding": "deflate"}))
        return True

    async def _nested(self, asked: Asked, send: Sender) -> bool:
        """/nested?n=3: gzip within gzip within gzip."""
        times = int(asked.get("n", "2"))
        body = HELLO
        for _ in range(times):
            body = gzip.compress(body)
        await send(response(body, headers={"Content-Encoding": ", ".join(["gzip"] * times)}))
        return True

    async def _bomb(self, asked: Asked, send: Sender) -> None:
        await send(response(bomb(), headers={"Content-Encoding": "gzip"}))

    async def _cut_gzip(self, asked: Asked, send: Sender) -> bool:
        body = gzip.compress(HELLO)[:-20]
        await send(response(body, headers={"Content-Encoding": "gzip"}))
        return True

    async def _broken_gzip(self, asked: Asked, send: Sender) -> bool:
        body = bytearray(gzip.compress(HELLO * 20))
        body[20:40] = bytes(20)
        await send(response(bytes(body), headers={"Content-Encoding": "gzip"}))
        return True

    async def _brotli(self, asked: Asked, send: Sender) -> bool:
        await send(response(b"\x0b\x02\x80", headers={"Content-Encoding": "br"}))
        return True

    async def _endless(self, asked: Asked, send: Sender) -> None:
        """A body without an end, in chunks."""
        await send(_CHUNKED)
        while True:
            await send.chunk(b"<p>and on it goes</p>" * 500)

    async def _endless_close(self, asked: Asked, send: Sender) -> None:
        """The same without a length or chunks."""
        await send(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n")
        while True:
            await send(b"<p>and on it goes</p>" * 500)

    async def _crumbs(self, asked: Asked, send: Sender) -> None:
        """An endless body in chunks of one byte, as fast as they go: costly to read."""
        await send(_CHUNKED)
        while True:
            await send(b"1\r\nx\r\n" * 10_000)

    async def _large(self, asked: Asked, send: Sender) -> None:
        """Says that a terabyte follows."""
        await send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n" + bytes(1000))
        await asyncio.sleep(MAX_SECONDS)

    async def _drip(self, asked: Asked, send: Sender) -> None:
        """A byte now and then, for as long as anyone waits."""
        await send(_CHUNKED)
        while True:
            await send.chunk(b"x")
            await asyncio.sleep(0.02)

    async def _drip_headers(self, asked: Asked, send: Sender) -> None:
        await send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            await send(b"x")
            await asyncio.sleep(0.02)

    async def _hang(self, asked: Asked, send: Sender) -> None:
        """Says nothing at all."""
        await asyncio.sleep(MAX_SECONDS)

    async def _slow(self, asked: Asked, send: Sender) -> bool:
        """/slow?s=0.2: answers after so many seconds."""
        await asyncio.sleep(float(asked.get("s", "0.2")))
        await send(response())
        return True

    async def _endless_headers(self, asked: Asked, send: Sender) -> None:
        await send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await send(b"X-More: and more\r\n" * 100)

    async def _endless_continue(self, asked: Asked, send: Sender) -> None:
        """Interim answers without a final one."""
        while True:
            await send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    async def _many_headers(self, asked: Asked, send: Sender) -> bool:
        """/many-headers?bytes=80000: a proper answer under a heap of headers."""
        await send(response(headers={"X-Heap": "h" * int(asked.get("bytes", "80000"))}))
        return True

    async def _garbage(self, asked: Asked, send: Sender) -> None:
        await send(b"\x16\x03\x01 220 this is no web server\r\n\r\n")

    async def _silent_close(self, asked: Asked, send: Sender) -> None:
        """Hangs up without a word."""

    async def _cut_body(self, asked: Asked, send: Sender) -> None:
        await send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")

    async def _cut_chunk(self, asked: Asked, send: Sender) -> None:
        await send(_CHUNKED + b"64\r\nonly this")

    async def _huge_chunk(self, asked: Asked, send: Sender) -> None:
        """A chunk that says it is bigger than anything."""
        await send(_CHUNKED + b"fffffffffffffffff\r\nxxxx")
        await asyncio.sleep(MAX_SECONDS)

    async def _two_answers(self, asked: Asked, send: Sender) -> bool:
        """/two-answers?s=0.1: an answer, and so many seconds later one that nobody asked for."""
        await send(response())
        await asyncio.sleep(float(asked.get("s", "0")))
        await send(response("<p>of another page"))
        return True

    async def _two_lengths(self, asked: Asked, send: Sender) -> None:
        await send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde")

    async def _loop(self, asked: Asked, send: Sender) -> bool:
        """Two pages that each lead to the other."""
        there = "/loop" if asked.get("b") else "/loop?b=1"
        await send(response(b"", status="302 Found", headers={"Location": there}))
        return True

    async def _redirect(self, asked: Asked, send: Sender) -> bool:
        """/redirect?to=URL&code=301"""
        status = f"{asked.get('code', '302')} Moved"
        await send(response(b"", status=status, headers={"Location": asked.get("to")}))
        return True

    async def _redirects(self, asked: Asked, send: Sender) -> bool:
        """/redirects?n=3: so many redirects, then a page."""
        if not (left := int(asked.get("n", "0"))):
            await send(response())
            return True
        where = f"/redirects?n={left - 1}"
        await send(response(b"", status="301 Moved", headers={"Location": where}))
        return True


_BEHAVIOURS = _Behaviours()


@contextlib.asynccontextmanager
async def hostile() -> AsyncIterator[Hostile]:
    """The server, in the running event loop."""
    server = Hostile()
    listening = await asyncio.start_server(server._serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in list(server._tasks):
            task.cancel()
        await asyncio.gather(*server._tasks, return_exceptions=True)


@contextlib.contextmanager
def hostile_thread() -> Iterator[Hostile]:
    """The server, in a thread with an event loop of its own."""
    ready, box = threading.Event(), []

    async def serve() -> None:
        async with hostile() as server:
            done = asyncio.Event()
            box.extend((server, asyncio.get_running_loop(), done))
            ready.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the hostile server did not start")
    server, loop, done = box
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
