"""How a crawl goes about it, and what became of it: settings and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from pydantic import Field

from webfarer.store.atomic import write_text
from webfarer.types import BadInput
from webfarer.types.base import Record
from webfarer.web.crawl.journal import Line
from webfarer.web.crawl.scope import Bounds
from webfarer.web.http.canonical import canonical
from webfarer.web.http.exchange import Exchange
from webfarer.web.http.fetch import FetchSettings

BUSY = (429, 503)
LONGEST_WAIT = 120.0  # seconds, whatever Retry-After asks for


class CrawlSettings(Record):
    """How a crawl goes about it. Only `bounds` have to stay the same from run to run.

    `depth` counts links from a root; `pages` is how many pages at most the archive shall have of
    this crawl; `delay` is in seconds between requests to one host; a passing fault is asked again
    `retries` times, first after `backoff` seconds, then after twice as many each time; `retry` asks
    again for what failed in earlier runs; `readers` are the processes that read pages (0: a
    thread of this one).
    """

    bounds: Bounds
    fetch: FetchSettings = FetchSettings()
    depth: int | None = Field(None, ge=0)
    pages: int = Field(10_000, ge=1)
    concurrency: int = Field(16, ge=1)
    per_host: int = Field(8, ge=1)
    delay: float = Field(0.0, ge=0)
    retries: int = Field(2, ge=0)
    backoff: float = Field(1.0, ge=0)
    retry: bool = False
    readers: int = Field(1, ge=0)


@dataclass
class Counts:
    """What became of the URLs so far, earlier runs included. `asked` are this run's requests, `new`
    its pages, `seconds` its time; `left` are URLs within the depth that were not asked for."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    size: int = 0
    asked: int = 0
    new: int = 0
    left: int = 0
    seconds: float = 0.0

    @property
    def pages(self) -> int:
        return self.outcomes["page"] + self.outcomes["duplicate"]

    def add(self, line: Line) -> None:
        """Counts a line of the journal."""
        self.outcomes[line.outcome] += 1
        self.size += line.size
        if line.outcome == "fault":
            self.faults[line.fault] += 1


Tell = Callable[[Counts, int], None]  # is given the counts so far, and how many URLs are known


def checked_roots(urls: list[str]) -> tuple[str, ...]:
    """The roots in their one spelling, each once. Raises BadInput for what is no web address."""
    roots: dict[str, None] = {}
    for url in urls:
        root = canonical(url)
        if root is None:
            raise BadInput(f"{url!r} is no web address: give http://HOST/PATH or https://HOST/PATH")
        roots[root] = None
    return tuple(roots)


def check_bounds(path: Path, bounds: Bounds) -> None:
    """Raises BadInput where the file says that the archive was crawled within other bounds; writes
    it where there is none."""
    if not path.exists():
        write_text(path, bounds.model_dump_json(indent=2) + "\n")
        return
    try:
        before = Bounds.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise BadInput(f"{path} is not a crawl's: crawl into another folder") from error
    for name, value in bounds.model_dump().items():
        old = getattr(before, name)
        if old != value:
            raise BadInput(
                f"{path.parent} was crawled with {name} {_shown(old)}, not {_shown(value)}: "
                "crawl into another folder, or with the same"
            )


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value).lower()


def failed(line: Line) -> bool:
    """Whether nothing came of a URL that something may come of another time."""
    busy = line.status in BUSY or line.status >= 500
    return bool(line.fault) or (line.outcome == "error" and busy)


def asked_wait(answer: Exchange, now: datetime | None = None) -> float:
    """The seconds that a busy server asks to be left alone (Retry-After: seconds, or a date)."""
    text = answer.header("retry-after").strip()
    if text.isascii() and text.isdigit():
        return min(LONGEST_WAIT, float(text[:9]))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(LONGEST_WAIT, max(0.0, (until - (now or datetime.now(UTC))).total_seconds()))
