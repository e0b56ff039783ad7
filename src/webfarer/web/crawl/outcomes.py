"""What becomes of a URL whose answer is no page to read: its line in the journal."""

from __future__ import annotations

from typing import Any

from webfarer.web.crawl.frontier import Job
from webfarer.web.crawl.journal import Line, Outcome
from webfarer.web.crawl.scope import Scope
from webfarer.web.http.canonical import canonical
from webfarer.web.http.exchange import Exchange


def line_of(job: Job, outcome: Outcome, **more: Any) -> Line:
    """The line of a job that is through."""
    return Line(url=job.url, depth=job.depth, outcome=outcome, trail=job.trail, **more)


def line_without_page(job: Job, exchange: Exchange, scope: Scope, most: int) -> Line:
    """The line of a redirect, of which `most` may follow one another, an error, or another media
    type."""
    status = exchange.status
    if exchange.location:
        return _redirect(job, exchange, scope, most)
    if status == 200:
        return line_of(job, "other type", status=status)
    return line_of(job, "missing" if status in (404, 410) else "error", status=status)


def _redirect(job: Job, exchange: Exchange, scope: Scope, most: int) -> Line:
    """Where it leads is asked for at the same depth. What a root leads to is a root as well."""
    status, target = exchange.status, canonical(exchange.location, job.url)
    if target is None:
        return line_of(job, "fault", status=status, fault="scheme")
    if target in (job.url, *job.trail) or len(job.trail) >= most:
        return line_of(job, "fault", status=status, fault="redirects")
    if job.depth == 0:
        scope.widen(target)
    return line_of(job, "redirect", status=status, links=scope.links([target]))
