"""`webfarer web serve`: webs over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from webfarer.cli.options import LanguageName, LayoutName, Quiet, open_worlds
from webfarer.cli.progress import Teller
from webfarer.types import BadInput
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.folder import is_archive
from webfarer.web.archive.frozen import ArchiveWeb
from webfarer.web.http.running import listening, run
from webfarer.web.http.serve import Servable, WebServer


def serve(
    folder: Annotated[
        list[Path] | None, typer.Argument(help="The folders of worlds, or of archives.")
    ] = None,
    archive: Annotated[
        list[Path] | None, typer.Option("--archive", help="An archive of pages; may be repeated.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Where to listen. Loopback, unless others are to be let in.")
    ] = "127.0.0.1",
    language: LanguageName = "",
    layout: LayoutName = "site",
    quiet: Quiet = False,
) -> None:
    """Serves webs over HTTP until it is interrupted: worlds' webs, and archives.

    A program asks for a site by its name, in the Host header; a browser finds all of them at the
    address that is printed, under aliases that end in .localhost. `/search?q=` answers a person
    with a page and a program with JSON (`Accept: application/json`).

    Example:

        webfarer web serve worlds/seven --port 8000

        curl -H "Host: old-atlas.example" http://127.0.0.1:8000/

        webfarer rollout tasks.jsonl attempts --world worlds/seven --via http://127.0.0.1:8000
    """
    teller = Teller(quiet)
    folders = folder or []
    archives = [*filter(is_archive, folders), *(archive or [])]
    worlds = [path for path in folders if not is_archive(path)]
    webs = [*_made(worlds, layout, language), *_frozen(archives, teller)]
    if not webs:
        raise BadInput("nothing to serve: give the folder of a world or of an archive")
    server = WebServer(webs)
    with listening(host, port) as (listener, address):
        for web in webs:
            teller.say(f"indexing {web.name}")
            asyncio.run(web.search([web.name], 1))
        for web in webs:
            sites = len(web.hosts)
            more = f" and {sites - 1:,} more hosts" if sites > 1 else ""
            typer.echo(f"{web.name}: {web.hosts[0]}{more}")
        typer.echo(f"Serving at {address} (ctrl-C to stop)")
        with suppress(KeyboardInterrupt):
            run(server, listener)
        teller.say("stopped")


def _made(folders: list[Path], layout: LayoutName, language: str) -> Iterator[Servable]:
    if folders:
        worlds = open_worlds(folders, layout=layout, language=language)
        yield from (world.made for world in worlds.values())


def _frozen(archives: list[Path], teller: Teller) -> Iterator[Servable]:
    for path in archives:
        yield ArchiveWeb(Archive.open(path, teller.warn), say=teller.say)
