"""Processes that read pages for a crawl, so that reading never keeps the fetching waiting.

Each is a plain child that takes exchanges on its standard input and gives readings on its standard
output, so that it ends by itself when its parent does, however that died. Python's own pools leave
children behind after a SIGKILL, and start them by importing the whole command.
"""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import Self

from webfarer.web.crawl.links import Reading, read_page
from webfarer.web.crawl.reader import SIZE, asked, heard
from webfarer.web.http.exchange import Exchange

_SECONDS = 60.0  # for one page, after which its reader is ended
_PIPE = 1 << 20  # bytes: a page goes through at once
_FIRST = Exchange("http://localhost/", 200)  # read by each reader to begin with
_AHEAD = 2  # pages given to a reader at once, so that it never waits for us


class Unreadable(Exception):
    """A page that broke its reader, or took it too long."""


class _Reader:
    """One process. Answers come in the order of the questions: locks are fair."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._asking, self._answering = asyncio.Lock(), asyncio.Lock()
        self.busy = 0

    async def begin(self) -> asyncio.subprocess.Process:
        """Starts the process."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "webfarer.web.crawl.reader",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, pipesize=_PIPE,
        )  # fmt: skip
        return self._process

    async def ask(self, exchange: Exchange) -> Reading:
        """Raises Unreadable where this page broke the process."""
        self.busy += 1
        try:
            while (reading := await self._ask(exchange)) is None:
                pass  # a page before this one broke it
            return reading
        finally:
            self.busy -= 1

    async def _ask(self, exchange: Exchange) -> Reading | None:
        """None where the process was lost before it came to this page."""
        async with self._asking:
            process = self._process or await self.begin()
            assert process.stdin is not None
            process.stdin.write(asked(exchange))
            await self._answering.acquire()
        try:
            return await self._answer(process) if process is self._process else None
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            await self.end()
            raise Unreadable(exchange.url) from error
        finally:
            self._answering.release()

    async def _answer(self, process: asyncio.subprocess.Process) -> Reading:
        assert process.stdin is not None
        assert process.stdout is not None
        async with asyncio.timeout(_SECONDS):
            await process.stdin.drain()
            (size,) = SIZE.unpack(await process.stdout.readexactly(SIZE.size))
            return heard(await process.stdout.readexactly(size))

    async def end(self) -> None:
        """Ends the process, whatever it is at."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


class Readers:
    """Several reading processes; an asynchronous context manager, entered when all are ready.

    With 0 processes pages are read in a thread of this one, which suits a few of them.
    """

    def __init__(self, processes: int) -> None:
        self._readers = [_Reader() for _ in range(processes)]
        self.room = max(1, len(self._readers) * _AHEAD)

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(reader.ask(_FIRST) for reader in self._readers))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for reader in self._readers:
            await reader.end()

    async def read(self, exchange: Exchange) -> Reading:
        """Where the page leads, and its fingerprint. Raises Unreadable where reading it broke."""
        if not self._readers:
            return await asyncio.to_thread(read_page, exchange)
        return await min(self._readers, key=lambda reader: reader.busy).ask(exchange)
