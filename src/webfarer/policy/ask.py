"""Asking a model a question in plain text: a chat server over HTTP, or an engine in this process.

An asker is called with a system message and a prompt and returns the reply; it raises
`FailureError("judge", ...)` where it broke. httpx, which the rest of the package uses too, does all
that is needed of an OpenAI-compatible server here: one request shape, time-outs, retries and a
bound on how many run at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from webfarer.policy.engine import Engine, Sampling
from webfarer.policy.renderer import Renderer
from webfarer.store import key_of, write_json
from webfarer.types import BadInput, FailureError

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between tries, doubled each time
_THE_USERS = {401: "refused the key", 403: "refused the key", 404: "has no such model or path"}

Ask = Callable[[str, str], Awaitable[str]]
Sleep = Callable[[float], Awaitable[None]]


class ChatServer:
    """A model behind an OpenAI-compatible server, such as "https://host/v1".

    `options` go into every request as they are (temperature, max_tokens and the like). A request
    may take `timeout` seconds and is made `attempts` times where the server is busy, broken or out
    of reach; `concurrency` run at once. Connections are shared while requests are running and
    closed after the last of them, so that nothing outlives its event loop.
    """

    def __init__(
        self,
        endpoint: str,
        model: str,
        *,
        key: str = "",
        options: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
        attempts: int = 5,
        concurrency: int = 16,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._endpoint = checked_endpoint(endpoint)
        self._body = {"model": model, **(options or {})}
        self._key = checked_key(key)
        self._timeout, self._attempts, self._concurrency = timeout, attempts, concurrency
        self._sleep = sleep
        self._running = 0
        self._shared: tuple[httpx.AsyncClient, asyncio.Semaphore] | None = None

    async def __call__(self, system: str, prompt: str) -> str:
        """The reply's text. Raises BadInput where the server refuses the key or does not know the
        model, FailureError where it cannot be had or gives no text."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        async with self._connected() as (client, places), places:
            response = await self._answered(client, {**self._body, "messages": messages})
        return self._text(response)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.Semaphore]]:
        if self._shared is None:
            limits = httpx.Limits(max_connections=self._concurrency)
            client = httpx.AsyncClient(timeout=self._timeout, limits=limits)
            self._shared = client, asyncio.Semaphore(self._concurrency)
        client, places = self._shared
        self._running += 1
        try:
            yield client, places
        finally:
            self._running -= 1
            if not self._running:
                self._shared = None
                await client.aclose()

    async def _answered(self, client: httpx.AsyncClient, body: Mapping[str, Any]) -> httpx.Response:
        """The response to a request that is made again where that may help."""
        problem = ""
        for attempt in range(self._attempts):
            try:
                response = await self._posted(client, body)
            except (httpx.HTTPError, TimeoutError) as error:
                problem, wait = _name(error), None
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return response
                problem = f"it answered {response.status_code}"
                wait = response.headers.get("retry-after")
            if attempt + 1 < self._attempts:
                await self._sleep(_wait(attempt, wait))
        raise self._broke(f"{problem}, asked {self._attempts} times")

    async def _posted(self, client: httpx.AsyncClient, body: Mapping[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with asyncio.timeout(self._timeout):  # httpx's own is between two bytes
            url = f"{self._endpoint}/chat/completions"
            return await client.post(url, json=body, headers=headers)

    def _text(self, response: httpx.Response) -> str:
        status = response.status_code
        if status in _THE_USERS:
            about = f"{self._endpoint} {_THE_USERS[status]} ({status}): {self._shown(response)}"
            raise BadInput(f"{about}; check grade.endpoint, grade.model and the key")
        if status != 200:
            raise self._broke(f"it answered {status}: {self._shown(response)}")
        try:
            text = response.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise self._broke(f"it answered no chat completion: {self._shown(response)}")
        return text

    def _shown(self, response: httpx.Response) -> str:
        """The start of what a server said, in one line."""
        return " ".join(self._hidden(response.text).split())[:160]

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _broke(self, problem: str) -> FailureError:
        return FailureError("judge", f"{self._endpoint}: {self._hidden(problem)}")


def checked_key(key: str) -> str:
    """The key without white space around it. Raises BadInput where no header can hold it."""
    key = key.strip()
    if not (key.isascii() and (key.isprintable() or not key)) or " " in key:
        raise BadInput("the judge's key holds what no key can: check WEBFARER_JUDGE_KEY")
    return key


def checked_endpoint(endpoint: str) -> str:
    """The address without a last slash. Raises BadInput where it is none, or holds a secret:
    addresses are written into manifests."""
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise BadInput(
            f"{endpoint.partition('?')[0]!r} is no address of a chat server: give one such as "
            "http://127.0.0.1:8000/v1"
        )
    if url.userinfo:
        raise BadInput(
            "a server's address may hold no password: give the key by WEBFARER_JUDGE_KEY"
        )
    return endpoint.rstrip("/")


class EngineAsker:
    """A model behind an `Engine` of this process, which is the asker's alone.

    Replies are greedy. The engine forgets its cache after the last of the questions running, so
    that a reply does not depend on those before.
    """

    def __init__(self, engine: Engine, renderer: Renderer, *, max_tokens: int = 256) -> None:
        self._engine, self._renderer, self._max_tokens = engine, renderer, max_tokens
        self._running = 0

    async def __call__(self, system: str, prompt: str) -> str:
        """The reply's text. Raises FailureError where the engine broke, or the prompt is too long
        for it."""
        ids = self._renderer.start(system, prompt)
        room = self._engine.context - len(ids)
        if room < self._max_tokens:
            raise FailureError(
                "judge",
                f"a prompt of {len(ids)} tokens and a reply of {self._max_tokens} do not fit the "
                f"context of {self._engine.context}",
            )
        sampling = Sampling(
            temperature=0.0, max_tokens=self._max_tokens, stop_ids=self._renderer.stop_ids
        )
        self._running += 1
        try:
            completion = await self._engine.generate(ids, sampling)
        finally:
            self._running -= 1
            if not self._running:
                await self._engine.forget()
        return self._renderer.read(completion.ids)


class Remembered:
    """An asker whose replies are kept in a folder, a file each, so that none is paid for twice and
    scores repeat. `of` tells the model and its settings; `keeps` which replies are worth keeping.

    Several processes may share the folder: a file is written whole.
    """

    def __init__(self, ask: Ask, folder: Path, of: str, keeps: Callable[[str], bool]) -> None:
        self._ask, self._folder, self._of, self._keeps = ask, Path(folder), of, keeps

    async def __call__(self, system: str, prompt: str) -> str:
        key = key_of(self._of, system, prompt)
        path = self._folder / key[:2] / f"{key}.json"
        kept = _kept(path)
        if kept is not None and self._keeps(kept):
            return kept
        reply = await self._ask(system, prompt)
        if self._keeps(reply):
            write_json(path, {"of": self._of, "prompt": prompt, "reply": reply})
        return reply


def _kept(path: Path) -> str | None:
    """The reply in a file; None where there is none that can be read."""
    try:
        reply = json.loads(path.read_bytes())["reply"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return reply if isinstance(reply, str) else None


def _wait(attempt: int, asked: str | None) -> float:
    """Seconds until the next try: what the server asks for, or twice as long each time."""
    try:
        seconds = float(asked or "")
    except ValueError:
        seconds = _FIRST_WAIT * 2**attempt
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _name(error: Exception) -> str:
    late = isinstance(error, (TimeoutError, httpx.TimeoutException))
    return "it did not answer in time" if late else str(error) or type(error).__name__
