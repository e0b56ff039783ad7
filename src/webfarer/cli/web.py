"""`webfarer web`: search and read a world's web by hand."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from webfarer.cli.options import Json, open_worlds, print_json
from webfarer.rollout.world import World
from webfarer.tools.reader import ExtractiveReader, count_words
from webfarer.types import BadInput

app = typer.Typer(help="Search and read the web over a graph.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="A world's folder.")]


def _only(folder: Path) -> World:
    return next(iter(open_worlds([folder]).values()))


@app.command("search")
def search(
    folder: Folder,
    query: Annotated[str, typer.Argument(help="What to search for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many results.")] = 5,
    json: Json = False,
) -> None:
    """Searches a world's web.

    Example:

        webfarer web search worlds/seven "The Silent Harbour"
    """
    (hits,) = asyncio.run(_only(folder).web.search([query], k))
    if json:
        print_json([asdict(hit) for hit in hits])
        return
    for number, hit in enumerate(hits, 1):
        typer.echo(f"{number}. {hit.title}\n   {hit.url}\n   {hit.snippet}")


@app.command("visit")
def visit(
    folder: Folder,
    url: Annotated[str, typer.Argument(help="The page's address.")],
    goal: Annotated[str, typer.Option(help="Show only what is relevant to it.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="With a goal: at most so many words.")] = 200,
    html: Annotated[bool, typer.Option("--html", help="Print the page as HTML.")] = False,
    json: Json = False,
) -> None:
    """Reads a page as an agent would: its HTML, extracted to markdown.

    Example:

        webfarer web visit worlds/seven https://old-atlas.example/wiki/Some_Page --goal "director"
    """
    web = _only(folder).web
    page = asyncio.run(web.visit(url))
    if page.status != "ok":
        raise BadInput(f"{url}: {page.status}; search first to find a page's address")
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
