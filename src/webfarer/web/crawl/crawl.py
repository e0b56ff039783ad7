"""`crawl`: sites into an archive, several at once, breadth first, each page asked for once.

One process fetches, others read (see `readers`), one thread writes: first the archive, then the
journal. What is fetched waits for being read, and what is read for being written, in queues that
hold few: memory does not grow with what is fetched, and a slow page or disk slows the fetching down
rather than starving it. What a page leads to is followed only once the page is written. Whenever
the crawl is killed, the journal explains every page of the archive, and the next run goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from webfarer.web.archive.archive import Archive
from webfarer.web.crawl.follow import Follow
from webfarer.web.crawl.frontier import Frontier, Job
from webfarer.web.crawl.journal import Journal, Line
from webfarer.web.crawl.nearby import NearDuplicates, Print
from webfarer.web.crawl.outcomes import line_of, line_without_page
from webfarer.web.crawl.readers import Readers, Unreadable
from webfarer.web.crawl.scope import Scope
from webfarer.web.crawl.settings import (
    BUSY,
    LONGEST_WAIT,
    Counts,
    CrawlSettings,
    Tell,
    asked_wait,
    check_bounds,
    failed,
)
from webfarer.web.crawl.source import Answer, Notes, RuleBook, Source
from webfarer.web.http.canonical import canonical
from webfarer.web.http.exchange import Exchange, FetchError
from webfarer.web.http.fetch import Fetcher
from webfarer.web.reading import is_readable

JOURNAL, SETTINGS = "crawl.jsonl", "crawl.json"
_FAILURES = 5  # URLs of a host in a row, after which the rest of it is left for another run
_BATCH = 16  # pages that are written at a time


class _Done(NamedTuple):
    """A job that is through: its line, and what is to be archived before it is written."""

    job: Job
    line: Line
    exchanges: tuple[Exchange, ...] = ()
    notes: Notes = {}


async def crawl(
    settings: CrawlSettings, out: Path, *, routes: Mapping[str, str] | None = None,
    tell: Tell = lambda counts, known: None, say: Callable[[str], None] | None = None,
) -> Counts:  # fmt: skip
    """Crawls into the archive, or goes on where an earlier crawl into it stopped.

    `tell` is called after every few pages, `say` is given a line for what was mended. What failed
    is asked for again with `settings.retry`, or where no page at all was had. Returns what became
    of the URLs. Raises BadInput where the archive was crawled within other bounds, and
    WebfarerError where the disk is full; run again, it goes on from there.
    """
    fetch = settings.fetch.model_copy(
        update={"connections": settings.concurrency, "connections_per_host": settings.per_host}
    )
    with Archive.create(out, say) as archive:
        check_bounds(out / SETTINGS, settings.bounds)
        Journal.forget(out / JOURNAL, failed, always=settings.retry)
        with Journal(out / JOURNAL) as journal:
            async with (
                Fetcher(fetch, routes, wanted=is_readable) as fetcher,
                Readers(settings.readers) as readers,
            ):
                source = Source(fetcher, archive)
                return await _Crawl(settings, archive, journal, source, readers, tell).run()


class _Crawl:
    """One run: fetchers hand answers to readers, and these lines to the writer."""

    def __init__(
        self, settings: CrawlSettings, archive: Archive, journal: Journal, source: Source,
        readers: Readers, tell: Tell,
    ) -> None:  # fmt: skip
        self.settings, self.archive, self.journal = settings, archive, journal
        self.source, self.readers, self.tell = source, readers, tell
        self.counts = Counts()
        self.scope = Scope(settings.bounds)
        self.rules = RuleBook(source, settings)
        self.frontier = Frontier(
            settings.per_host, settings.delay, settings.depth, settings.bounds.robots
        )
        self.follow = Follow(self.frontier, self.scope, journal, self.counts)
        self.seen = NearDuplicates()
        self.tries: Counter[str] = Counter()
        self.unread: asyncio.Queue[tuple[Job, Answer]] = asyncio.Queue(2 * readers.room)
        self.unwritten: asyncio.Queue[_Done] = asyncio.Queue(2 * _BATCH)
        self.change = asyncio.Event()

    async def run(self) -> Counts:
        started = self._now()
        self._restore()
        try:
            async with asyncio.TaskGroup() as helpers:
                tasks = [helpers.create_task(self._writing())]
                tasks += [helpers.create_task(self._reading()) for _ in range(self.readers.room)]
                async with asyncio.TaskGroup() as fetching:
                    for _ in range(self.settings.concurrency):
                        fetching.create_task(self._fetching())
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        self.counts.left = self.frontier.left
        self.counts.seconds = self._now() - started
        self.tell(self.counts, len(self.frontier))
        return self.counts

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _restore(self) -> None:
        """Knows again what earlier runs did."""
        for root in self.settings.bounds.roots:
            self.frontier.offer(Job(root, 0))
        for place, line in self.journal.read():
            self.frontier.finished(Job(line.url, line.depth))
            if line.outcome == "rules":
                self.rules.unreachable[line.url] = line.fault
            if line.outcome == "page" and line.print is not None:
                self.seen.add(line.url, Print(*line.print))
            self.follow(line, place)

    # Fetching

    async def _fetching(self) -> None:
        while (job := await self._next()) is not None:
            if job.rules:
                await self._learn(job)
            elif (rules := self.rules.forbidding(job.url)) is not None:
                outcome = "fault" if rules.unreachable else "forbidden"
                await self._through(job, line_of(job, outcome, fault=rules.unreachable))
            else:
                await self._fetch(job)

    async def _next(self) -> Job | None:
        """A job, when there is one; None when the crawl is over."""
        while True:
            change = self.change
            room = self.counts.pages + self.frontier.open < self.settings.pages
            found = self.frontier.take(self._now()) if room else None
            if isinstance(found, Job):
                return found
            if found is None and not self.frontier.open:
                return None
            try:
                async with asyncio.timeout(found):
                    await change.wait()
            except TimeoutError:
                continue  # a host has had its rest

    def _wake(self) -> None:
        """Something may be taken now, or the crawl is over: everyone who waits looks again."""
        self.change.set()
        self.change = asyncio.Event()

    async def _learn(self, job: Job) -> None:
        """Gets to know a host's rules, before anything else is asked of it."""
        known = job.url in self.rules.unreachable
        rules, answers = await self.rules.learn(job.url)
        self.frontier.ruled(job, rules.delay)
        status = answers[-1].exchange.status if answers else 0
        found = (canonical(url, job.url) for url in rules.sitemaps)
        wanted = self.settings.bounds.sitemaps
        links = self.scope.links(url for url in found if url and wanted)
        line = line_of(job, "rules", status=status, fault=rules.unreachable, links=links)
        new = (answer.exchange for answer in answers if answer.notes is None)
        await self._through(job, None if known else line, *new)

    async def _fetch(self, job: Job) -> None:
        """One request, and its answer handed on."""
        if not self.source.archived(job.url):
            self.frontier.asking(job, self._now())
        try:
            answer = await self.source.get(job.url)
        except FetchError as error:
            if not (error.passing and self._later(job, 0.0)):
                self._failed(job, error.passing)
                await self._through(job, line_of(job, "fault", fault=error.kind))
            return
        exchange = answer.exchange
        if exchange.status in BUSY and self._later(job, asked_wait(exchange)):
            return
        self._failed(job, failed=False)
        if exchange.status == 200 and is_readable(exchange.content_type):
            self.frontier.answered(job)
            self._wake()
            await self.unread.put((job, answer))
        else:
            most = self.settings.fetch.max_redirects
            line = line_without_page(job, exchange, self.scope, most)
            keep = line.outcome != "other type" and answer.notes is None
            await self._through(job, line, *((exchange,) if keep else ()))

    def _later(self, job: Job, wait: float) -> bool:
        """Whether the job is put back, to be asked again once its host has had a rest."""
        tried = self.tries.pop(job.url, 0)
        if tried >= self.settings.retries:
            return False
        self.tries[job.url] = tried + 1
        wait = min(LONGEST_WAIT, max(wait, self.settings.backoff * 2**tried))
        self.frontier.again(job, self._now() + wait)
        self._wake()
        return True

    def _failed(self, job: Job, failed: bool) -> None:
        host = self.frontier.host(job.url)
        host.failures = host.failures + 1 if failed else 0
        host.gone = host.failures >= _FAILURES

    async def _through(self, job: Job, line: Line | None, *exchanges: Exchange) -> None:
        """A job that brought no page to read: only to be written down."""
        self.frontier.answered(job)
        if line is None:
            self.frontier.done()
        self._wake()
        if line is not None:
            await self.unwritten.put(_Done(job, line, exchanges))

    # Reading

    async def _reading(self) -> None:
        while True:
            job, answer = await self.unread.get()
            await self.unwritten.put(await self._read(job, answer))

    async def _read(self, job: Job, answer: Answer) -> _Done:
        exchange, size = answer.exchange, len(answer.exchange.body)
        keep = () if answer.notes is not None else (exchange,)
        try:
            reading = await self.readers.read(exchange)
        except Unreadable:
            line = line_of(job, "fault", status=exchange.status, size=size, fault="unreadable")
            return _Done(job, line, keep)
        same = self._same(job.url, reading.print, answer.notes)
        notes: dict[str, str | int] = {"near_duplicate_of": same} if same else {}
        if not reading.indexed:
            notes["noindex"] = 1
        line = line_of(
            job, "duplicate" if same else "page", status=exchange.status, size=size,
            duplicate_of=same, links=self.scope.links(reading.links), print=tuple(reading.print),
        )  # fmt: skip
        return _Done(job, line, keep, notes)

    def _same(self, url: str, print: Print, notes: Notes | None) -> str:
        """The page that this one repeats; what the archive says of it, where it has it already."""
        if notes is None:
            same = self.seen.find(print) or ""
        else:
            same = str(notes.get("near_duplicate_of", ""))
        if not same:
            self.seen.add(url, print)
        return same

    # Writing

    async def _writing(self) -> None:
        while True:
            batch = [await self.unwritten.get()]
            while not self.unwritten.empty() and len(batch) < _BATCH:
                batch.append(self.unwritten.get_nowait())
            writing = asyncio.ensure_future(asyncio.to_thread(self._write, batch))
            try:
                places = await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait([writing])  # the files are closed only after it
                raise
            for done, place in zip(batch, places, strict=True):
                self._written(done, place)
            self.counts.asked = self.source.asked
            self._wake()
            self.tell(self.counts, len(self.frontier))

    def _write(self, batch: list[_Done]) -> list[int]:
        """Into the archive, then into the journal; gives the lines' places."""
        for done in batch:
            for exchange in done.exchanges:
                self.archive.append(exchange, **done.notes)
        return self.journal.append([done.line for done in batch])

    def _written(self, done: _Done, place: int) -> None:
        self.counts.new += done.line.outcome in ("page", "duplicate")
        self.follow(done.line, place)
        self.frontier.done()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group that broke off because of it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
