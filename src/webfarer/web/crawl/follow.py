"""`Follow`: what the lines of a crawl lead to, offered to its frontier."""

from __future__ import annotations

from webfarer.web.crawl.frontier import FAR, Frontier, Job
from webfarer.web.crawl.journal import Journal, Line
from webfarer.web.crawl.scope import Scope
from webfarer.web.crawl.settings import Counts


class Follow:
    """Counts what became of each URL, and offers what it leads to."""

    def __init__(self, frontier: Frontier, scope: Scope, journal: Journal, counts: Counts) -> None:
        self._frontier, self._scope = frontier, scope
        self._journal, self._counts = journal, counts
        self._places: dict[str, int] = {}  # of lines in the journal, where depth is limited

    def __call__(self, line: Line, place: int) -> None:
        """Takes a line that stands at that place of the journal."""
        self._counts.add(line)
        if self._frontier.limit < FAR and line.links:
            self._places[line.url] = place
        again = [line]
        while again:
            again += self._offered(again.pop())

    def _offered(self, line: Line) -> list[Line]:
        """The lines of pages that turn out to be less deep than they were when they were read."""
        moved = line.outcome == "redirect"
        depth = 0 if line.outcome == "rules" else self._frontier.depth(line.url) + (not moved)
        trail = (*line.trail, line.url) if moved else ()
        again = []
        for url in line.links:
            if not self._frontier.known(url):
                self._scope.count(url)
            if self._frontier.offer(Job(url, depth, trail)) and url in self._places:
                again.append(self._journal.at(self._places[url]))
        return again
