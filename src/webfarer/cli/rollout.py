"""`webfarer rollout`: attempts at tasks, written as trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webfarer.cli.agents import arena, asked_of, policy_named
from webfarer.cli.manifest import claim
from webfarer.cli.options import (
    Json,
    LanguageName,
    LayoutName,
    Quiet,
    RecipeName,
    Seed,
    Settings,
    Via,
    Worlds,
    open_worlds,
    print_json,
    read_tasks,
    settings_of,
)
from webfarer.cli.progress import Teller
from webfarer.rollout.collect import collect, jobs_for
from webfarer.store.manifest import sha256_file
from webfarer.types import BadInput, Trajectory

Policy = Annotated[
    str, typer.Option("--policy", "-p", help='"expert", "base", a model folder or a hub id.')
]


def rollout(
    context: typer.Context,
    tasks: Annotated[Path, typer.Argument(help="A file of tasks (JSONL).")],
    out: Annotated[Path, typer.Argument(help="The folder for the trajectories.")],
    world: Worlds,
    policy: Policy = "expert",
    samples: Annotated[int, typer.Option(min=0, help="Attempts at each task.")] = 1,
    greedy: Annotated[bool, typer.Option("--greedy", help="One at temperature 0 too.")] = False,
    retry_failures: Annotated[
        bool,
        typer.Option(
            "--retry-failures",
            help="Make attempts again that failed on our side, judge unjudged ones again.",
        ),
    ] = False,
    language: LanguageName = "",
    layout: LayoutName = "site",
    via: Via = "",
    recipe: RecipeName = "quickstart",
    set_: Settings = None,
    seed: Seed = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Lets a policy attempt every task; killed, the same command goes on where it was.

    A trainable policy's token ids are kept in shards beside the trajectories.

    Example:

        webfarer rollout tasks.jsonl rollouts/expert --world worlds/seven --policy expert
    """
    chosen = context.obj.load_recipe(recipe, settings_of(set_))
    settings, temperature = chosen.rollout, chosen.eval.temperature
    worlds = open_worlds(world, layout=layout, via=via, language=language)
    listed = read_tasks(tasks, worlds).values()
    jobs = jobs_for(listed, samples=samples, greedy=greedy)
    if not jobs:
        raise BadInput("no attempt is asked for: give --samples or --greedy")
    agent, renderer = policy_named(policy, worlds, settings, temperature, chosen.family)
    place = arena(worlds, renderer.count, chosen.tools, settings, seed, chosen.grade)
    claim(out, {
        **asked_of(policy, renderer, worlds, chosen), "family": renderer.family.name,
        "tasks": sha256_file(tasks), "samples": samples, "greedy": greedy, "seed": seed,
    })  # fmt: skip
    with Teller(quiet).bar("rollout", len(jobs)) as update:
        parts = collect(
            agent, place, jobs, out, chunk=settings.chunk, keep_tokens=True,
            retry_failures=retry_failures, progress=update,
        )  # fmt: skip
    made = list(parts.read(Trajectory))
    correct = sum(t.verdict is not None and t.verdict.status == "correct" for t in made)
    failed = sum(t.failure is not None for t in made)
    unjudged = sum(t.verdict is not None and t.verdict.status == "unjudged" for t in made)
    if json:
        print_json({"attempts": len(made), "correct": correct, "failures": failed,
                    "unjudged": unjudged, "folder": str(out)})  # fmt: skip
        return
    ours = f"{failed:,} failures of ours" + (f", {unjudged:,} unjudged" if unjudged else "")
    typer.echo(f"{len(made):,} attempts, {correct:,} correct, {ours}: {out}")
