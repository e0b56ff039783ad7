"""Running a `WebServer`, by uvicorn: until it is interrupted, or beside other work."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

from webfarer.types import BadInput
from webfarer.web.http.serve import Servable, WebServer

if TYPE_CHECKING:
    import uvicorn


@contextmanager
def listening(host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket and its address, such as "http://127.0.0.1:8000"; port 0 is any free one.

    Raises BadInput where the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said to be TCP in so many words: asyncio takes the wait for more to send off such alone, and
    # answers would come 40 ms late.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1024)
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise BadInput(f"cannot serve from {host}:{port} ({why}): choose another") from None
        name = f"[{host}]" if ":" in host else host
        yield listener, f"http://{name}:{listener.getsockname()[1]}"


def run(server: WebServer, listener: socket.socket) -> None:
    """Answers until it is interrupted; what is being answered then is answered."""
    _uvicorn(server).run(sockets=[listener])


@contextmanager
def serving(webs: Iterable[Servable], port: int = 0) -> Iterator[str]:
    """Serves from a thread of this process, on loopback, for as long as the block lasts; gives the
    address."""
    with listening(port=port) as (listener, address):
        server = _uvicorn(WebServer(webs))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join()


def _uvicorn(server: WebServer) -> uvicorn.Server:
    import uvicorn  # late: who only asks a server needs none

    config = uvicorn.Config(
        server, lifespan="off", log_level="error", access_log=False, server_header=False,
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    return uvicorn.Server(config)
