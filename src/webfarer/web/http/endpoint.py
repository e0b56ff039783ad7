"""A SPARQL endpoint over HTTP: SPARQL 1.1 protocol, answers in SPARQL's JSON.

https://www.w3.org/TR/sparql11-protocol/ and https://www.w3.org/TR/sparql11-results-json/. Queries
go out one at a time; an endpoint that is busy is given the time that it asks for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from webfarer import __version__
from webfarer.graph.dumps.ntriples import Literal as Text
from webfarer.graph.dumps.ntriples import Statement
from webfarer.types import WebfarerError

TRIES = 6  # of one query, while the endpoint says that it is busy
LARGEST = 64 << 20  # bytes of an answer
_BUSY = (429, 502, 503)
_LATE = ("timeout", "timed out", "time limit")
USER_AGENT = f"webfarer/{__version__} (knowledge graph expansion)"


class TooLong(Exception):
    """A query that the endpoint could not answer in time, or in full."""


class Endpoint:
    """Sends queries, one at a time, and reads their answers."""

    def __init__(
        self,
        url: str,
        timeout: float,
        sleep: Callable[[float], None],
        user_agent: str = USER_AGENT,
    ) -> None:
        self.url, self._timeout, self._sleep = url, timeout, sleep
        headers = {"User-Agent": user_agent, "Accept": "application/sparql-results+json"}
        self._client = httpx.Client(headers=headers, timeout=timeout)

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def select(self, query: str) -> list[Statement]:
        """The triples that a query for ?s ?p ?o gives.

        Raises TooLong where the answer is late or not whole; WebfarerError where the endpoint
        cannot be reached, refuses, or stays busy.
        """
        for attempt in range(TRIES):
            try:
                response, body = self._post(query)
            except httpx.TimeoutException as error:
                raise TooLong(f"no answer in {self._timeout:g} s") from error
            except httpx.HTTPError as error:
                raise WebfarerError(
                    f"{self.url} cannot be reached: {error or type(error).__name__}; "
                    "what came before is kept: run the same command again"
                ) from error
            if response.status_code not in _BUSY:
                return _read(self.url, response, body)
            if attempt + 1 < TRIES:
                self._sleep(_wait(response, attempt))
        raise WebfarerError(
            f"{self.url} was busy {TRIES} times in a row: run the same command again "
            "later; what came is kept"
        )

    def _post(self, query: str) -> tuple[httpx.Response, bytes]:
        """The response and its body, within the time for the whole of it."""
        until = time.monotonic() + self._timeout
        pieces, size = [], 0
        with self._client.stream("POST", self.url, data={"query": query}) as response:
            for piece in response.iter_bytes(1 << 16):
                pieces.append(piece)
                size += len(piece)
                if size > LARGEST:
                    raise TooLong(f"an answer of more than {LARGEST >> 20} MB")
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("the answer drips")
        return response, b"".join(pieces)


def _wait(response: httpx.Response, attempt: int) -> float:
    """Seconds until the next try: what the endpoint asks for, within ten minutes."""
    asked = response.headers.get("retry-after", "")
    return min(600.0, float(asked)) if asked.isdigit() else min(60.0, 2.0**attempt)


def _read(endpoint: str, response: httpx.Response, body: bytes) -> list[Statement]:
    text = body.decode(errors="replace")
    if response.status_code == 504 or (
        response.status_code == 500 and any(late in text.lower() for late in _LATE)
    ):
        raise TooLong("the endpoint ran out of time")
    if response.status_code != 200:
        first = next((line for line in text.splitlines() if line.strip()), "")[:160]
        where = f" (it points to {place})" if (place := response.headers.get("location")) else ""
        raise WebfarerError(f"{endpoint} answered {response.status_code}{where}: {first}")
    try:
        rows = json.loads(text)["results"]["bindings"]
        return [Statement(_node(row["s"]), _node(row["p"]), _term(row["o"])) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # Wikidata's endpoint cuts an answer that takes too long in the middle.
        raise TooLong("an answer that is not SPARQL's JSON") from error


def _node(term: Any) -> str:
    return f"_:{term['value']}" if term["type"] == "bnode" else str(term["value"])


def _term(term: Any) -> str | Text:
    if term["type"] in ("uri", "bnode"):
        return _node(term)
    return Text(str(term["value"]), term.get("datatype", ""), term.get("xml:lang", "").lower())
