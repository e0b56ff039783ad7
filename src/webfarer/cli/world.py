"""`webfarer world`: procedural worlds and imported graphs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from webfarer.cli.options import Json, Seed, in_language, print_json, print_table
from webfarer.graph.files import load, save
from webfarer.graph.worlds.world import build_world

app = typer.Typer(help="Build a procedural world, or look at any graph.", no_args_is_help=True)


@app.command("build")
def build(
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    seed: Seed = 1,
    size: Annotated[int, typer.Option(help="How many entities.")] = 300,
    language: Annotated[str, typer.Option(help="What it is told in: en or zh.")] = "en",
    json: Json = False,
) -> None:
    """Writes a world: the same seed, size and language give the same bytes.

    Examples:

        webfarer world build worlds/seven --seed 7 --size 400

        webfarer world build worlds/qi --seed 7 --language zh
    """
    graph = build_world(seed, size, language)
    save(graph, out)
    _tell({"folder": str(out), "name": graph.name, "language": graph.language,
           "sha256": graph.sha256, "entities": len(graph.entities),
           "facts": len(graph.facts)}, json)  # fmt: skip


@app.command("show")
def show(
    folder: Annotated[Path, typer.Argument(help="A world's or imported graph's folder.")],
    language: Annotated[
        str, typer.Option(help="Whose labels to show, such as zh [those of most entities].")
    ] = "",
    json: Json = False,
) -> None:
    """Says what a graph holds: entities by type, facts by relation.

    Example:

        webfarer world show worlds/seven
    """
    graph = in_language(load(folder), language)
    types = {graph.type_label(t): len(graph.of_type(t)) for t in graph.types}
    relations = Counter(graph.relation_label(fact.relation) for fact in graph.facts)
    top = dict(Counter(types).most_common(20))
    _tell({"name": graph.name, "language": graph.language, "sha256": graph.sha256,
           "entities": len(graph.entities), "facts": len(graph.facts), "types": top,
           "relations": dict(relations.most_common(80))}, json)  # fmt: skip


def _tell(found: dict[str, object], json: bool) -> None:
    if json:
        print_json(found)
        return
    for name, value in found.items():
        if isinstance(value, dict):
            print_table([(name, "count"), *((key, f"{count:,}") for key, count in value.items())])
        else:
            typer.echo(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")
