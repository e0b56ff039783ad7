"""What a crawl has still to ask for, and whom it may ask now: without I/O or a clock of its own.

Breadth first: each host's waiting URLs come in the order of their depth (links from the nearest
root), then of discovery; hosts take turns. A URL is known by eight bytes, so that what was asked
for long ago costs little memory. A shorter way found later to a URL that was asked for already
lowers its depth, so that under a limit of depth the same pages are reached whatever order the
answers came in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from heapq import heappop, heappush
from typing import NamedTuple
from urllib.parse import urlsplit

FAR = 10**9  # a depth that no limit reaches


class Job(NamedTuple):
    """A URL to ask for, its depth, and the redirects that led to it from the last link. A job of
    `rules` is for a host's robots.txt, which comes before everything else of it."""

    url: str
    depth: int
    trail: tuple[str, ...] = ()
    rules: bool = False


@dataclass(slots=True)
class Host:
    """One host and port that is asked: how often it may be, and what waits for it."""

    origin: str
    delay: float = 0.0
    ready_at: float = 0.0
    active: int = 0
    waiting: list[tuple[int, int, Job]] = field(default_factory=list)
    failures: int = 0  # in a row
    gone: bool = False  # failed so often that it is left alone
    ruled: bool = False  # its robots.txt is known, or being asked for
    held: bool = False  # until it is known


class Frontier:
    """URLs by host. `per_host` requests at most run at a host at once, `delay` seconds apart."""

    def __init__(
        self,
        per_host: int = 8,
        delay: float = 0.0,
        depth: int | None = None,
        robots: bool = True,
    ) -> None:
        self.per_host = per_host
        self.robots = robots
        self.delay = delay
        self.limit = FAR if depth is None else depth
        self.hosts: dict[str, Host] = {}
        self._turns: deque[Host] = deque()
        self._depths: dict[int, int] = {}
        self._taken: set[int] = set()
        self._order = 0
        self._open = 0

    def __len__(self) -> int:
        """URLs that are known: asked for, waiting, or too deep."""
        return len(self._depths)

    @property
    def open(self) -> int:
        """Jobs taken and not yet done."""
        return self._open

    @property
    def left(self) -> int:
        """Jobs within the depth that wait, whether or not their host may still be asked."""
        return sum(self._waits(host) for host in self.hosts.values())

    def _waits(self, host: Host) -> int:
        jobs = {job.url for _, _, job in host.waiting if self._current(job)}
        return len(jobs)

    def _current(self, job: Job) -> bool:
        """Whether a waiting entry still stands: not taken, and not superseded by a shorter way."""
        key = _key(job.url)
        return key not in self._taken and self._depths[key] == job.depth <= self.limit

    def host(self, url: str) -> Host:
        """The host of a URL, known from now on."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self.hosts:
            self.hosts[origin] = Host(origin, delay=self.delay, ruled=not self.robots)
            self._turns.append(self.hosts[origin])
        return self.hosts[origin]

    def known(self, url: str) -> bool:
        return _key(url) in self._depths

    def depth(self, url: str) -> int:
        """The depth of a known URL, as far as is known now."""
        return self._depths[_key(url)]

    def offer(self, job: Job) -> bool:
        """A link was found. True where the page was asked for already and is now less deep, so
        that what it leads to has to be offered again."""
        key = _key(job.url)
        before = self._depths.get(key, FAR + 1)
        if job.depth >= before:
            return False
        self._depths[key] = job.depth
        if key in self._taken:
            return True
        self._push(job)
        return False

    def _push(self, job: Job) -> None:
        self._order += 1
        heappush(self.host(job.url).waiting, (job.depth, self._order, job))

    def finished(self, job: Job) -> None:
        """The job is none any more: an earlier run did it."""
        key = _key(job.url)
        self._depths[key] = min(job.depth, self._depths.get(key, job.depth))
        self._taken.add(key)

    def take(self, now: float) -> Job | float | None:
        """The next job; or the seconds until one may be ready; or None where nothing waits that
        does not depend on a job still open."""
        wait: float | None = None
        for _ in range(len(self._turns)):
            host = self._turns[0]
            self._turns.rotate(-1)
            if host.gone or host.held or host.active >= self.per_host or not self._top(host):
                continue
            if host.ready_at > now:
                wait = min(wait or FAR, host.ready_at - now)
                continue
            host.active += 1
            self._open += 1
            return self._job(host)
        return wait

    def _job(self, host: Host) -> Job:
        if not host.ruled:
            host.ruled = host.held = True
            rules = Job(f"{host.origin}/robots.txt", 0, rules=True)
            self.finished(rules)  # and never asked for as a page
            return rules
        _, _, job = heappop(host.waiting)
        self._taken.add(_key(job.url))
        return job

    def asking(self, job: Job, now: float) -> None:
        """The job's request goes out: its host's next may follow after the host's delay."""
        host = self.host(job.url)
        host.ready_at = max(host.ready_at, now + host.delay)

    def ruled(self, job: Job, delay: float) -> None:
        """A host's robots.txt is known, and the delay that it asks for."""
        host = self.host(job.url)
        host.held, host.delay = False, max(host.delay, delay)

    def _top(self, host: Host) -> bool:
        """Whether the host has a job that stands; entries that do not are dropped on the way."""
        while host.waiting:
            job = host.waiting[0][2]
            if self._current(job):
                return True
            if job.depth > self.limit:
                return False
            heappop(host.waiting)
        return False

    def answered(self, job: Job) -> None:
        """The host is through with the job: it may be asked for the next."""
        self.host(job.url).active -= 1

    def done(self) -> None:
        """A job is through: all that it leads to was offered."""
        self._open -= 1

    def again(self, job: Job, at: float) -> None:
        """The job has to be asked again, and its host left alone until then. Stands in for
        `answered` and `done`."""
        self._taken.discard(_key(job.url))
        self._open -= 1
        host = self.host(job.url)
        host.active -= 1
        host.ready_at = max(host.ready_at, at)
        self._push(job._replace(depth=self.depth(job.url)))


@lru_cache(1 << 16)
def _key(url: str) -> int:
    return int.from_bytes(blake2b(url.encode("utf-8", "replace"), digest_size=8).digest(), "little")
