"""`webfarer run`: the whole recipe, in one command."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from webfarer.cli.options import Json, Quiet, print_json, print_table
from webfarer.cli.pipeline import Run
from webfarer.cli.progress import Teller
from webfarer.evals.report import table
from webfarer.types import BadInput


def run(
    context: typer.Context,
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a TOML file.")] = "",
    graph: Annotated[
        Path | None, typer.Option(help="A folder with a knowledge graph, in place of worlds.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="A model folder or hub id, in place of the small base model.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="The run's folder [runs/RECIPE].")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Put in a setting, such as sft.epochs=2; may be repeated."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the settings and stop.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Worlds, tasks, expert trajectories, filter, fine-tuning, evaluation and report.

    Killed at any point, the same command goes on where it was.

    Examples:

        webfarer run

        webfarer run --graph path/to/wikidata --out runs/wikidata

        webfarer run --model Qwen/Qwen3-0.6B --set rollout.prompt=\'"full"\'
    """
    overrides = dict(_setting(text) for text in set_ or [])
    if graph is not None:
        overrides["graph.folder"] = str(graph)
    if model:
        overrides["model"] = model
    chosen = context.obj.load_recipe(recipe or ("graph" if graph else "quickstart"), overrides)
    if show:
        print_json(chosen.model_dump(mode="json"))
        return
    folder = out or Path("runs") / chosen.name
    report = Run(chosen, folder, Teller(quiet), context.obj.render).all()
    if json:
        typer.echo(report.model_dump_json(indent=2))
        return
    print_table(table(report))
    typer.echo(f"report: {folder / 'report.html'}")


def _setting(text: str) -> tuple[str, Any]:
    """ "sft.epochs=2" as a path and a TOML value; a bare word is text."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise BadInput(f"--set {text}: give SECTION.NAME=VALUE")
    try:
        return path, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return path, value
