"""What a web gives: pages and search results."""

import hashlib
from dataclasses import dataclass
from typing import Literal

PageStatus = Literal["ok", "not_found", "empty", "unloadable", "refused", "not_archived"]


@dataclass(frozen=True, slots=True)
class Link:
    """A link on a page: its absolute URL and its text."""

    url: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One fetched page, as markdown.

    `status` is what the web said: anything but "ok" is an observation for the agent (a 404, an
    empty page), not a failure of ours. "not_archived" is what a frozen web says of a page that was
    never recorded: it is not fetched. `sha256` is that of the markdown text.
    """

    url: str
    title: str
    text: str
    links: tuple[Link, ...] = ()
    status: PageStatus = "ok"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result; `score` is the index's own (BM25), higher is better."""

    url: str
    title: str
    snippet: str
    score: float = 0.0
