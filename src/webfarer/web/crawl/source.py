"""Where a crawl's answers come from: the network, or the archive where an earlier run had them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from webfarer.web.archive.archive import Archive
from webfarer.web.crawl.robots import MOST_HOPS, Rules, read_rules, robots_url
from webfarer.web.crawl.settings import BUSY, CrawlSettings
from webfarer.web.http.canonical import canonical
from webfarer.web.http.exchange import Exchange, FetchError
from webfarer.web.http.fetch import Fetcher

Notes = Mapping[str, str | int]


class Answer(NamedTuple):
    """What came for a URL. `notes` are the archive's, where it had the page already."""

    exchange: Exchange
    notes: Notes | None = None


class Source:
    """Answers from the network, each asked for once; `asked` counts the requests."""

    def __init__(self, fetcher: Fetcher, archive: Archive) -> None:
        self._fetcher, self._archive = fetcher, archive
        self._begun = len(archive) > 0
        self.asked = 0

    def archived(self, url: str) -> bool:
        """Whether an earlier run recorded an answer that is worth reading."""
        row = self._archive.row(url) if self._begun else None
        return row is not None and row.status < 500 and row.status not in BUSY

    async def get(self, url: str) -> Answer:
        """The answer to one request, no redirect followed. Raises FetchError."""
        if self.archived(url) and (row := self._archive.row(url)):
            return Answer(await asyncio.to_thread(self._archive.read, row), row.notes)
        self.asked += 1
        return Answer(await self._fetcher.get(url))

    async def follow(self, url: str, most: int) -> list[Answer]:
        """The answers from this URL on, through so many redirects at most. Raises FetchError."""
        answers = [await self.get(url)]
        while (where := answers[-1].exchange.location) and len(answers) <= most:
            target = canonical(where, answers[-1].exchange.url)
            if target is None:
                break
            answers.append(await self.get(target))
        return answers


class RuleBook:
    """What the robots.txt of each host says, asked for once; `unreachable` are those that earlier
    runs did not get, with the reason."""

    def __init__(self, source: Source, settings: CrawlSettings) -> None:
        self._source, self._settings = source, settings
        self._rules: dict[str, Rules] = {}
        self.unreachable: dict[str, str] = {}

    def forbidding(self, url: str) -> Rules | None:
        """The rules that forbid to ask for the URL; None where it may be asked for."""
        rules = self._rules.get(robots_url(url))
        return None if rules is None or rules.allows(url) else rules

    async def learn(self, url: str) -> tuple[Rules, list[Answer]]:
        """The rules at the URL of a robots.txt, and the answers that led to them."""
        answers, fault = [], self.unreachable.get(url, "")
        if not fault:
            answers, fault = await self._ask(url)
        last = answers[-1].exchange if answers else None
        answer = None if last is None or last.location else last
        rules = self._rules[url] = read_rules(answer, self._settings.fetch.user_agent, fault)
        return rules, answers

    async def _ask(self, url: str) -> tuple[list[Answer], str]:
        """The answers, or the kind of the fault; faults that pass and busy servers asked again."""
        pause, tries = self._settings.backoff, self._settings.retries
        while True:
            try:
                answers, fault, passing = await self._source.follow(url, MOST_HOPS), "", False
            except FetchError as error:
                answers, fault, passing = [], error.kind, error.passing
            status = answers[-1].exchange.status if answers else 0
            if not tries or not (passing or status >= 500 or status in BUSY):
                return answers, fault
            await asyncio.sleep(pause)
            pause, tries = 2 * pause, tries - 1
