"""`webfarer web crawl`: sites into an archive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from webfarer.cli.options import Json, Quiet, checked, folder_for, print_json, print_table
from webfarer.cli.progress import Teller
from webfarer.types import BadInput, WebfarerError
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.pages import build_pages
from webfarer.web.crawl.crawl import crawl as crawl_sites
from webfarer.web.crawl.scope import Bounds
from webfarer.web.crawl.settings import Counts, CrawlSettings, checked_roots
from webfarer.web.http.fetch import FetchSettings

_SAID = {
    "page": "pages",
    "duplicate": "of them like another, left out of search",
    "redirect": "redirects",
    "missing": "not found",
    "error": "other errors",
    "forbidden": "not asked for: robots.txt",
    "other type": "neither page nor text",
}
_FAULTS = {
    "private": "on a private network, which --allow-private opens",
    "dns": "the host has no address",
    "connect": "no connection",
    "timeout": "no whole answer within --timeout",
    "too_large": "larger than allowed",
    "encoding": "broken or unknown content encoding",
    "protocol": "what came is not whole HTTP",
    "redirects": "redirects without end",
    "scheme": "redirected to what is no web address",
    "unreadable": "could not be read",
}


def crawl(
    roots: Annotated[list[str], typer.Argument(metavar="ROOT...", help="Where to begin.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The archive's folder.")],
    depth: Annotated[int | None, typer.Option(min=0, help="Links from a root; else any.")] = None,
    pages: Annotated[int, typer.Option(min=1, help="Pages at most.")] = 10_000,
    same_site: Annotated[
        bool,
        typer.Option("--same-site/--same-host", help="Follow links to subdomains as well."),
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Follow only links to this host (.HOST: and below it) or with this URL "
                     "as prefix; may be repeated."),
    ] = None,
    sitemap: Annotated[
        bool, typer.Option("--sitemap", help="Begin with the sitemaps that robots.txt names, too.")
    ] = False,
    ignore_robots: Annotated[
        bool, typer.Option("--ignore-robots", help="For sites of one's own: ask for no robots.txt.")
    ] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Fetch from private and loopback addresses.")
    ] = False,
    route: Annotated[
        list[str] | None,
        typer.Option(help="HOST=URL: ask that server for this host; may be repeated."),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 16,
    per_host: Annotated[int, typer.Option(min=1, help="Requests at once to one host.")] = 8,
    delay: Annotated[float, typer.Option(min=0, help="Seconds between requests to a host.")] = 0.0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one page.")] = 30.0,
    max_bytes: Annotated[int, typer.Option(min=1, help="Bytes of one page.")] = 10 << 20,
    retries: Annotated[int, typer.Option(min=0, help="Times to ask again after a fault.")] = 2,
    user_agent: Annotated[str, typer.Option(help="Who is asking, as robots.txt may name it.")] = "",
    readers: Annotated[int, typer.Option(min=0, help="Processes that read pages.")] = 1,
    retry: Annotated[
        bool, typer.Option("--retry", help="Ask again for what failed.")
    ] = False,
    index: Annotated[
        bool, typer.Option("--index/--no-index", help="Make the search index at the end.")
    ] = True,
    json: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Crawls sites into an archive, to be searched and visited offline.

    Stopped at any moment, the same command goes on where it was; run again when it is done, it
    asks for nothing. Exits with 1 where no page could be had.

    Example:

        webfarer web crawl https://docs.python.org/3/ --allow https://docs.python.org/3/ --out docs
    """
    fetch = {"allow_private": allow_private, "timeout": timeout, "max_bytes": max_bytes}
    if user_agent:
        fetch["user_agent"] = user_agent
    settings = checked(
        CrawlSettings,
        bounds=checked(
            Bounds, roots=checked_roots(roots), reach="site" if same_site else "host",
            allow=tuple(sorted(set(allow or ()))), sitemaps=sitemap, robots=not ignore_robots,
        ),
        fetch=checked(FetchSettings, **fetch),
        depth=depth, pages=pages, concurrency=concurrency, per_host=per_host, delay=delay,
        retries=retries, retry=retry, readers=readers,
    )  # fmt: skip
    teller = Teller(quiet)
    counts = _run(settings, folder_for(out), _routes(route or []), teller)
    if not counts.pages:
        raise WebfarerError(f"no page could be had of {', '.join(roots)}: {_reasons(counts)}")
    if index:
        with Archive.open(out) as archive:
            build_pages(archive, say=teller.say)
    if json:
        print_json(_record(counts))
        return
    if not quiet:
        print_table([("", "URLs"), *_rows(counts)])
        _tell_end(counts, settings, teller)


def _run(settings: CrawlSettings, out: Path, routes: dict[str, str], teller: Teller) -> Counts:
    with teller.bar("crawling") as update:

        def tell(counts: Counts, known: int) -> None:
            done = sum(counts.outcomes.values())
            faults = sum(counts.faults.values())
            note = f"{counts.pages:,} pages, {counts.size / 1e6:,.1f} MB, {faults:,} faults"
            update(done, max(done, known), note)

        return asyncio.run(crawl_sites(settings, out, routes=routes, tell=tell, say=teller.warn))


def _routes(texts: list[str]) -> dict[str, str]:
    """ "atlas.example=http://127.0.0.1:8000" as host and where it is asked."""
    routes = {}
    for text in texts:
        host, equals, url = text.partition("=")
        if not equals or not host:
            raise BadInput(f"--route {text}: give HOST=URL")
        routes[host] = url
    return routes


def _rows(counts: Counts) -> Iterator[tuple[str, str]]:
    outcomes = counts.outcomes
    for outcome, words in _SAID.items():
        number = counts.pages if outcome == "page" else outcomes[outcome]
        if number or outcome == "page":
            yield words, f"{number:,}"
    for kind, number in counts.faults.most_common():
        yield f"failed: {_FAULTS.get(kind, kind)}", f"{number:,}"
    if counts.left:
        yield "known, and left for another run", f"{counts.left:,}"


def _record(counts: Counts) -> dict[str, object]:
    return {
        "pages": counts.pages, "outcomes": dict(counts.outcomes), "faults": dict(counts.faults),
        "bytes": counts.size, "requests": counts.asked, "new_pages": counts.new,
        "left": counts.left, "seconds": round(counts.seconds, 3),
    }  # fmt: skip


def _tell_end(counts: Counts, settings: CrawlSettings, teller: Teller) -> None:
    if counts.asked:
        rate = counts.new / max(counts.seconds, 1e-9)
        teller.say(
            f"{counts.new:,} new pages by {counts.asked:,} requests in {counts.seconds:,.1f} s "
            f"({rate:,.1f} pages/s); {counts.size / 1e6:,.1f} MB in all"
        )
    else:
        teller.say("nothing was asked for: everything within these limits is in the archive")
    if counts.left and counts.pages >= settings.pages:
        teller.say(f"stopped at {settings.pages:,} pages: raise --pages to go on")
    elif counts.left:
        teller.warn("some hosts stopped answering: run the same command again to go on")


def _reasons(counts: Counts) -> str:
    found = [(_FAULTS.get(kind, kind), number) for kind, number in counts.faults.most_common()]
    found += [(words, counts.outcomes[outcome]) for outcome, words in _SAID.items()]
    reasons = [f"{words} ({number:,})" for words, number in found if number]
    return "; ".join(reasons) or "nothing was asked for"
