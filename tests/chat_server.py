"""A chat server on loopback that answers as it is told and notes what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Answer = tuple[int, str] | tuple[int, str, dict[str, str]]
Told = Callable[[dict[str, Any], int], Answer | Awaitable[Answer]]


def said(text: str) -> Answer:
    """A chat completion with this text."""
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


def verdict(status: str, reason: str = "compared") -> Answer:
    return said(json.dumps({"reason": reason, "verdict": status}))


class Asked:
    """What a server was asked: the bodies and headers, and how many ran at once at most."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.running = self.most = 0
        self.address = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode(), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, _, value in lines}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.bodies.append(body)
        self.headers.append(headers)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            answer = self.told(body, len(self.bodies))
            status, text, *more = answer if isinstance(answer, tuple) else await answer
        finally:
            self.running -= 1
        extra = "".join(f"{name}: {value}\r\n" for name, value in (more[0] if more else {}).items())
        data = text.encode()
        writer.write(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(data)}\r\n\r\n".encode())
        writer.write(data)
        await writer.drain()


def candidate(body: dict[str, Any]) -> Any:
    """The candidate's answer, as a reader of the prompt's JSON finds it."""
    prompt = body["messages"][1]["content"]
    return json.JSONDecoder().raw_decode(prompt)[0]["candidate_answer"]


@asynccontextmanager
async def chat_server(told: Told) -> AsyncIterator[Asked]:
    asked = Asked(told)
    server = await asyncio.start_server(asked, "127.0.0.1", 0)
    asked.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield asked
    finally:
        server.close()
