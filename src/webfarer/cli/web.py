"""`webfarer web`: search and read a web by hand, a world's or an archive's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from webfarer.cli.crawl import crawl
from webfarer.cli.options import (
    Json,
    LanguageName,
    Quiet,
    folder_for,
    open_worlds,
    print_json,
    print_table,
)
from webfarer.cli.serve import serve
from webfarer.tools.reader import ExtractiveReader, count_words
from webfarer.types import BadInput, Page
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.folder import is_archive
from webfarer.web.archive.frozen import ArchiveWeb
from webfarer.web.archive.scan import scan
from webfarer.web.http.fetch import Fetcher, FetchSettings
from webfarer.web.http.live import LiveWeb
from webfarer.web.site import GraphWeb

app = typer.Typer(help="Search and read a world's web, or an archive.", no_args_is_help=True)

app.command("serve")(serve)
app.command("crawl")(crawl)

Folder = Annotated[Path, typer.Argument(help="The folder of a world or of an archive.")]
ArchiveFolder = Annotated[Path, typer.Argument(help="An archive's folder.")]
_SAID = 10  # problems of one file that are told one by one
_SHOWN = 10  # rows of a table


@contextmanager
def opened(
    folder: Path, write: bool = False, language: str = ""
) -> Iterator[GraphWeb | ArchiveWeb]:
    """The web that lies in a folder. Raises BadInput where there is none, or a world is to be
    written to."""
    if is_archive(folder):
        with Archive.create(folder, _say) if write else Archive.open(folder, _say) as archive:
            yield ArchiveWeb(archive, say=_say)
    elif write:
        raise BadInput(f"{folder} is no archive: only an archive can be recorded into")
    else:
        yield next(iter(open_worlds([folder], language=language).values())).made


def _say(message: str) -> None:
    typer.echo(message, err=True)


@app.command("search")
def search(
    folder: Folder,
    query: Annotated[str, typer.Argument(help="What to search for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many results.")] = 5,
    language: LanguageName = "",
    json: Json = False,
) -> None:
    """Searches a world's web, or an archive, whose pages are indexed when it is first searched.

    Examples:

        webfarer web search worlds/seven "The Silent Harbour"

        webfarer web search archives/python "event loop policy" -k 3 --json
    """
    with opened(folder, language=language) as web:
        (hits,) = asyncio.run(web.search([query], k))
    if json:
        print_json([asdict(hit) for hit in hits])
        return
    if not hits:
        _say("nothing was found")
    for number, hit in enumerate(hits, 1):
        typer.echo(f"{number}. {hit.title}\n   {hit.url}\n   {hit.snippet}")


@app.command("visit")
def visit(
    folder: Folder,
    url: Annotated[str, typer.Argument(help="The page's address.")],
    goal: Annotated[str, typer.Option(help="Show only what is relevant to it.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="With a goal: at most so many words.")] = 200,
    html: Annotated[bool, typer.Option("--html", help="Print the page as HTML.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Fetch what the archive lacks, and keep it there.")
    ] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="With --record: private addresses too.")
    ] = False,
    language: LanguageName = "",
    json: Json = False,
) -> None:
    """Reads a page as an agent would: its HTML, extracted to markdown.

    An archive gives what was recorded, and fetches nothing unless told to with --record.

    Examples:

        webfarer web visit worlds/seven https://old-atlas.example/wiki/Some_Page --goal "director"

        webfarer web visit archives/python https://docs.python.org/3.11/ --record
    """
    with opened(folder, write=record, language=language) as web:
        page = asyncio.run(web.visit(url))
        if record and page.status == "not_archived":
            page = asyncio.run(_recorded(web, url, allow_private))
        if page.status != "ok":
            raise BadInput(_why(folder, url, page))
        text = page.text
        if html:
            text = web.html(url) or ""
        elif goal:
            text = asyncio.run(ExtractiveReader().read(page, goal, limit, count_words))
    if json:
        links = [asdict(link) for link in page.links]
        print_json({"url": page.url, "title": page.title, "text": text, "links": links,
                    "sha256": page.sha256})  # fmt: skip
        return
    typer.echo(text)


async def _recorded(web: GraphWeb | ArchiveWeb, url: str, allow_private: bool) -> Page:
    """The page out of the archive, once it was fetched into it."""
    assert isinstance(web, ArchiveWeb)
    async with Fetcher(FetchSettings(allow_private=allow_private)) as fetcher:
        live = await LiveWeb(fetcher, recorder=web.archive).visit(url)
    page = await web.visit(url)
    return live if page.status == "not_archived" else page  # live says why nothing came


def _why(folder: Path, url: str, page: Page) -> str:
    """One line about a page that cannot be shown: what is wrong, and what to do."""
    if page.status == "not_archived":
        return f"{page.url} is not in {folder}: fetch it and keep it there with --record"
    if is_archive(folder) and page.text:
        return page.text if url in page.text else f"{url}: {page.text}"
    return f"{url}: {page.status}; search first to find a page's address"


@app.command("index")
def index(
    warcs: Annotated[list[Path], typer.Argument(help="WARC files.", metavar="WARC...")],
    out: Annotated[Path, typer.Option("--out", help="The archive's folder, new or not.")],
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Makes an archive of other people's WARC files, such as Common Crawl's.

    The files are read where they lie and not copied: leave them there. What cannot be used of them
    is counted, said and skipped. Killed, run it again: it goes on where it was.

    Example:

        webfarer web index CC-MAIN-*.warc.gz --out archives/common-crawl
    """
    for path in warcs:
        next(scan(path), None)  # that every file is there, and one, before anything is written
    found: dict[str, dict[str, int]] = {}
    with Archive.create(folder_for(out), _say) as archive:
        for path in warcs:
            problems: list[str] = []
            added = archive.add(path, problems.append)
            found[str(path)] = added._asdict()
            if quiet:
                continue
            for line in problems[:_SAID]:
                _say(line)
            if len(problems) > _SAID:
                _say(f"{path}: {len(problems) - _SAID} more problems, as webfarer web show counts")
            if not json:
                typer.echo(f"{path}: {added.records} records, {added.problems} problems")
    if json:
        print_json(found)


@app.command("show")
def show(archive: ArchiveFolder, json: Json = False) -> None:
    """Shows what an archive holds: pages by status, media type and host, bytes, problems.

    Example:

        webfarer web show archives/python
    """
    with Archive.open(archive, _say) as found:
        counts = _counts(found)
    if json:
        print_json(counts)
        return
    typer.echo(
        f"{counts['urls']} addresses, {counts['records']} records, {counts['body_bytes']:,} bytes "
        f"of bodies, {counts['warc_bytes']:,} bytes in {counts['warc_files']} WARC files; "
        f"{counts['near_duplicates']} near duplicates"
    )
    for name in ("status", "type", "host", "problem"):
        shares = sorted(counts[name].items(), key=lambda pair: (-pair[1], pair[0]))
        rows = [(str(key), str(number)) for key, number in shares[:_SHOWN]]
        if more := shares[_SHOWN:]:
            rows.append((f"{len(more)} more", str(sum(number for _, number in more))))
        if rows:
            print_table([(name, "records" if name == "problem" else "addresses"), *rows])


def _counts(archive: Archive) -> dict[str, Any]:
    """What `show` shows. Status, type and host are counted over the latest record of each URL."""
    status, kinds, hosts = Counter[str](), Counter[str](), Counter[str]()
    copies = 0
    for row in archive.latest():
        status[str(row.status)] += 1
        kinds[row.content_type or "none"] += 1
        hosts[urlsplit(row.url).netloc] += 1
        copies += bool(row.near_duplicate_of)
    rows = list(archive.rows())
    problems = Counter(_kind_of(row.problem) for row in archive.problems())
    return {
        "urls": len(archive), "records": len(rows), "near_duplicates": copies,
        "body_bytes": sum(row.size for row in rows),
        "warc_bytes": sum(row.length for row in rows),
        "warc_files": len({row.file for row in rows}),
        "status": dict(status), "type": dict(kinds), "host": dict(hosts),
        "problem": dict(problems),
    }  # fmt: skip


def _kind_of(problem: str) -> str:
    """A problem without the address that it was with."""
    return problem.rpartition(": ")[2] if problem.startswith("http") else problem
