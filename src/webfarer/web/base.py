"""`Web`: anything with search and visit."""

from collections.abc import Sequence
from typing import Protocol

from webfarer.types import Hit, Page


class Web(Protocol):
    """A graph-backed site, an archive, the live web, a browser: all look like this.

    `search` returns one list of at most k hits for each query, best first. `visit` returns a page
    whose `status` says what the web said; neither raises for what the web says. Both raise
    `FailureError` where our side broke (an index that cannot be read, a browser that crashed).
    A web holds no state of any one rollout.
    """

    name: str

    async def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]: ...

    async def visit(self, url: str) -> Page: ...
