"""`webfarer curate`: the funnel, and a training set from what survives it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webfarer.cli.options import Json, checked, folder_for, print_json, print_table, read_tasks
from webfarer.curate.training_set import make_training_set
from webfarer.policy.chat import load_renderer
from webfarer.policy.source import model_folder
from webfarer.store.parts import Parts
from webfarer.types import FunnelSettings, Trajectory


def curate(
    rollouts: Annotated[Path, typer.Argument(help="The folder of the trajectories.")],
    tasks: Annotated[Path, typer.Argument(help="Their tasks (JSONL).")],
    out: Annotated[Path, typer.Argument(help="The folder for the training set.")],
    model: Annotated[str, typer.Option(help="Whose tokens: a folder or hub id [base].")] = "",
    family: Annotated[
        str | None, typer.Option(help="The model's chat family, where its files do not show it.")
    ] = None,
    per_task: Annotated[int, typer.Option(help="Survivors kept of each task.")] = 1,
    detours: Annotated[int, typer.Option(help="Visits allowed beside the evidence.")] = 0,
    json: Json = False,
) -> None:
    """Validity, correctness, quality: drops what fails, says why, and writes the rest as tokens.

    Example:

        webfarer curate rollouts/expert tasks.jsonl training-set
    """
    settings = checked(FunnelSettings, per_task=per_task, detours=detours)
    found = make_training_set(
        Parts(rollouts).read(Trajectory),
        read_tasks(tasks),
        load_renderer(model_folder(model), family),
        settings,
        folder_for(out),
        rollouts,
    )
    if json:
        print_json(found.counts())
        return
    rows = [("stage", "dropped", "why")]
    for stage, reasons in found.drops.items():
        rows += [(stage, f"{count:,}", reason) for reason, count in reasons.most_common()]
    print_table(rows)
    typer.echo(
        f"{found.entered:,} trajectories, {len(found.kept):,} kept in {out}; "
        f"{len(found.unsolved):,} tasks left for reinforcement learning"
    )
