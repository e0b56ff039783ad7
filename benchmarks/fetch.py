"""Requests by `Fetcher` against httpx and httpcore's pool: the same pages from the same server on
loopback, in one run. What counts is the time of our own process, which is what a crawl has left
for reading. Prints a table.

    python benchmarks/fetch.py --requests 3000 --concurrency 16
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import httpcore
import httpx
from rich.console import Console
from rich.table import Table

from webfarer.web.http.fetch import Fetcher, FetchSettings

Get = Callable[[str], Awaitable[object]]

_SERVER = r"""
import asyncio, sys

BODY = b"<html><body>" + b"x" * int(sys.argv[1]) + b"</body></html>"
HEAD = (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nServer: loopback\r\nETag: \"a-1\"\r\n"
        b"Date: Sun, 01 Jan 2023 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n" % len(BODY))

class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.heard = transport, b""

    def data_received(self, data):
        self.heard += data
        while b"\r\n\r\n" in self.heard:
            self.heard = self.heard.partition(b"\r\n\r\n")[2]
            self.transport.write(HEAD + BODY)

async def main():
    server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


async def measure(get: Get, base: str, requests: int, concurrency: int) -> tuple[float, float]:
    """Requests a second, and microseconds of this process for each."""
    urls = iter([f"{base}/page/{n}.html" for n in range(requests)])

    async def work() -> None:
        for url in urls:
            await get(url)

    await get(f"{base}/first")
    wall, own = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    wall, own = time.perf_counter() - wall, time.process_time() - own
    return requests / wall, 1e6 * own / requests


async def compare(base: str, requests: int, many: int) -> dict[str, tuple[float, float]]:
    rows = {}
    limits = httpx.Limits(max_connections=many, max_keepalive_connections=many)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
        rows["httpx.AsyncClient"] = await measure(client.get, base, requests, many)
    async with httpcore.AsyncConnectionPool(max_connections=many) as pool:
        asked = measure(lambda url: pool.request("GET", url), base, requests, many)
        rows["httpcore.AsyncConnectionPool"] = await asked
    settings = FetchSettings(allow_private=True, connections=many, connections_per_host=many)
    async with Fetcher(settings) as fetcher:
        rows["webfarer Fetcher"] = await measure(fetcher.get, base, requests, many)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--bytes", type=int, default=20_000, help="of each page")
    args = parser.parse_args()
    command = [sys.executable, "-c", _SERVER, str(args.bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            base = f"http://127.0.0.1:{int(server.stdout.readline())}"
            rows = asyncio.run(compare(base, args.requests, args.concurrency))
        finally:
            server.terminate()
    table = Table(
        title=f"{args.requests} pages of {args.bytes:,} bytes, {args.concurrency} at once"
    )
    for heading in ("client", "pages/s", "own time, µs a page", "against httpx"):
        table.add_column(heading, justify="left" if heading == "client" else "right")
    slowest = rows["httpx.AsyncClient"][1]
    for name, (rate, own) in rows.items():
        table.add_row(name, f"{rate:,.0f}", f"{own:,.0f}", f"{slowest / own:.1f}x")
    Console().print(table)
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
