"""`Exchange`: one request and what came back for it, whether live or out of an archive.

One exchange follows no redirect: whoever asked sees the redirect and asks again, so that every hop
is checked and recorded like the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Headers = tuple[tuple[str, str], ...]
FaultKind = Literal[
    "scheme",  # neither http nor https
    "private",  # a private, loopback, link-local or metadata address
    "dns",  # the host has no address
    "connect",  # nothing listens there, or TLS failed
    "timeout",  # slow to answer, or a body that drips
    "too_large",  # more bytes than allowed, as sent or once decompressed
    "encoding",  # a content encoding that is broken or unknown
    "protocol",  # what came back is not HTTP
    "redirects",  # too many, or round in a circle
    "not_allowed",  # off the caller's own list of hosts
]
PASSING: frozenset[FaultKind] = frozenset({"dns", "connect", "timeout", "protocol"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a server sent for a URL. `body` is without its content encoding (gzip, br); `address`
    is the IP that was connected to; `seconds` is the wall time from request to last byte."""

    url: str
    status: int
    headers: Headers = ()
    body: bytes = b""
    reason: str = ""
    address: str = ""
    at: datetime | None = None
    seconds: float = 0.0

    def header(self, name: str) -> str:
        """The first header of that name, whatever its case; empty where there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def location(self) -> str:
        """Where a redirect leads, as the server wrote it; empty for anything else."""
        return self.header("location") if self.status in (301, 302, 303, 307, 308) else ""

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty where none was sent."""
        return self.header("content-type").partition(";")[0].strip().lower()


class FetchError(Exception):
    """A fetch that brought nothing to use. `kind` says why; `passing` whether it may work later."""

    def __init__(self, kind: FaultKind, url: str, message: str) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind
        self.url = url

    @property
    def passing(self) -> bool:
        return self.kind in PASSING
