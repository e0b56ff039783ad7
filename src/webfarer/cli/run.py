"""`webfarer run`: the whole recipe, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webfarer.cli.options import Json, Quiet, Settings, print_json, print_table, settings_of
from webfarer.cli.pipeline import Run
from webfarer.cli.progress import Teller
from webfarer.evals.report import table


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
    set_: Settings = None,
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
    folder_given = None if graph is None else str(graph)
    overrides = settings_of(set_, graph__folder=folder_given, model=model or None)
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
