"""A real SPARQL endpoint on loopback: pyoxigraph's store behind a small HTTP server.

It can be told to fail in the ways endpoints do: `faults` are taken one a request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pyoxigraph


class Endpoint(ThreadingHTTPServer):
    """`queries` are those it was sent; one about more than `most` nodes comes too late."""

    daemon_threads = True

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = pyoxigraph.Store()
        self.store.bulk_load("\n".join(lines).encode(), pyoxigraph.RdfFormat.N_TRIPLES)
        self.queries: list[str] = []
        self.agents: set[str] = set()
        self.faults: list[str] = []
        self.most = 1000

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/sparql"


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        (query,) = parse_qs(self.rfile.read(length).decode())["query"]
        self.server.queries.append(query)
        self.server.agents.add(self.headers["User-Agent"])
        fault = self.server.faults.pop(0) if self.server.faults else ""
        if query.count(" AS ?") > self.server.most:
            fault = "late"
        self._fail(fault) if fault else self._answer(query)

    def _answer(self, query: str) -> None:
        found = self.server.store.query(query)
        body = found.serialize(format=pyoxigraph.QueryResultsFormat.JSON)
        self._send(200, body, {"Content-Type": "application/sparql-results+json"})

    def _fail(self, fault: str) -> None:
        if fault == "busy":
            self._send(503, b"try later", {"Retry-After": "7"})
        elif fault == "many":
            self._send(429, b"too many requests", {})
        elif fault == "late":
            self._send(500, b"java.util.concurrent.TimeoutException", {})
        elif fault == "cut":
            self._send(200, b'{"head":{},"results":{"bindings":[{"s":{"ty', {})
        elif fault == "refuse":
            self._send(403, b"<html>\nnot for you", {})
        elif fault == "silent":
            time.sleep(0.6)
            self._send(200, b"{}", {})
        elif fault == "drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(12):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client did not wait

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def endpoint(lines: Iterable[str]) -> Iterator[Endpoint]:
    server = Endpoint(lines)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
