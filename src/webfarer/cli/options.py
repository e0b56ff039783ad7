"""Options that several commands share."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from webfarer.graph.files import load
from webfarer.graph.graph import KnowledgeGraph
from webfarer.rollout.world import World, by_name, check_served, check_tasks
from webfarer.store.jsonl import complaint, read_jsonl
from webfarer.types import BadInput, Task
from webfarer.web.http.canonical import canonical
from webfarer.web.site import Layout

Model = TypeVar("Model", bound=BaseModel)
Worlds = Annotated[
    list[Path],
    typer.Option("--world", "-w", help="A world's folder; give the option once for each."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Seed = Annotated[int, typer.Option(help="Keys every random choice.")]
RecipeName = Annotated[
    str, typer.Option("--recipe", help="Whose settings: a recipe's name, or a TOML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Put in a setting, such as tools.hits=5; may be repeated."),
]
LayoutName = Annotated[
    Layout,
    typer.Option("--layout", help="How a world's pages lie: one site, or a network of them."),
]
Via = Annotated[
    str, typer.Option(help="Where webfarer web serve serves the worlds, to read them over HTTP.")
]
LanguageName = Annotated[
    str,
    typer.Option("--language", help='Read the worlds in it, "en" or "zh" [their commonest].'),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


def open_worlds(
    folders: Iterable[Path], *, layout: Layout = "site", via: str = "", language: str = ""
) -> Mapping[str, World]:
    """The worlds in the folders, by name. A run names its folders SPLIT-NAME; the world is NAME.

    They are read in the `language`; where none is given, in that of most of their labels.

    Raises BadInput where nothing has a label in the language, or where `via` is no server's
    address, or it serves other pages than theirs.
    """
    if via and canonical(via) is None:
        raise BadInput(f"--via {via}: give a server's address, such as http://127.0.0.1:8000")
    graphs = (in_language(load(folder, _name(folder)), language) for folder in folders)
    worlds = by_name(graphs, layout, via)
    if via:
        asyncio.run(check_served(worlds.values()))
    return worlds


def in_language(graph: KnowledgeGraph, language: str) -> KnowledgeGraph:
    """The graph in a language in which something of it has a label; as it is where the language is
    empty. Raises BadInput."""
    if not language:
        return graph
    spoken = sorted({code for entity in graph.entities.values() for code in entity.labels})
    if language not in spoken:
        raise BadInput(f"{graph.name} has no label in {language!r}: give {' or '.join(spoken)}")
    return graph.in_language(language)


def read_tasks(path: Path, worlds: Mapping[str, World] | None = None) -> dict[str, Task]:
    """The tasks of a file, by id. Raises BadInput where there is none, an id is given twice, or one
    is not of these worlds."""
    tasks: dict[str, Task] = {}
    for task in read_jsonl(path, Task):
        if task.id in tasks:
            raise BadInput(f"{path}: the task {task.id} is given twice; remove one")
        tasks[task.id] = task
    if not tasks:
        raise BadInput(f"{path} holds no task: make some with webfarer tasks make")
    if worlds is not None:
        check_tasks(tasks.values(), worlds)
    return tasks


def folder_for(path: Path) -> Path:
    """The path, where a folder can be. Raises BadInput where a file is in the way."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise BadInput(f"{place} is a file where a folder is to be: choose another folder")
    return path


def _name(folder: Path) -> str:
    split, _, name = folder.resolve().name.partition("-")
    return name if split in ("train", "valid", "test") and name else folder.resolve().name


def levels(text: str) -> dict[int, int]:
    """ "1=100,2=50" as {1: 100, 2: 50}. Raises BadInput where it is not of that form."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        found = {int(level): int(count) for level, count in pairs}
    except ValueError:
        found = {}
    if not found or not set(found) <= {1, 2, 3} or min(found.values()) < 0:
        raise BadInput(f"levels {text!r}: give counts by level, such as 1=100,2=100,3=20")
    return found


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(rows: Iterable[tuple[str, ...]], title: str = "") -> None:
    """A table on standard output, its first row the header."""
    header, *body = rows
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for place, name in enumerate(header):
        table.add_column(Text(name), justify="left" if place == 0 else "right")
    for row in body:
        table.add_row(*map(Text, row))  # text of a graph's or a model's is no markup
    Console(highlight=False).print(table)


def checked(model: type[Model], **values: Any) -> Model:
    """Settings from what the user gave. Raises BadInput, in one line, where a value is none."""
    try:
        return model(**values)
    except ValidationError as error:
        raise BadInput(f"setting {complaint(error)}") from error


def settings_of(texts: Iterable[str] | None, **flags: Any) -> dict[str, Any]:
    """ "sft.epochs=2" as a path and a TOML value (a bare word is text), with the flags given, whose
    double underscore stands for a dot. Raises BadInput where one is not of that form."""
    found = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    for text in texts or ():
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise BadInput(f"--set {text}: give SECTION.NAME=VALUE")
        try:
            found[path] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[path] = value
    return found
