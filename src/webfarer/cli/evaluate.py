"""`webfarer eval`: scores of a policy on tasks, with all that it takes to repeat them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webfarer.cli.agents import arena, asked_of, policy_key, policy_named
from webfarer.cli.manifest import Scored, claim, keep_engine, kept_engine, score_manifest
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
    print_table,
    read_tasks,
    settings_of,
)
from webfarer.cli.progress import Teller, tell_toolless
from webfarer.evals.report import build_report, table, to_json, write
from webfarer.grade.rules import equivalent
from webfarer.rollout.collect import collect, jobs_for
from webfarer.store.manifest import sha256_file
from webfarer.types import BadInput, Trajectory


def evaluate(
    context: typer.Context,
    tasks: Annotated[Path, typer.Argument(help="A file of tasks (JSONL).")],
    out: Annotated[Path, typer.Argument(help="The folder for attempts and report.")],
    world: Worlds,
    policy: Annotated[
        list[str],
        typer.Option("--policy", "-p", help='"expert", "base", a folder or hub id; repeatable.'),
    ],
    samples: Annotated[
        int | None, typer.Option(help="Attempts at each task, beside the greedy [the recipe's].")
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", help="Of pass@k and cons@k [the recipe's].")
    ] = None,
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
    """Scores policies on the same tasks: greedy, pass@1, pass@k, cons@k, consistency.

    The last policy is compared with the first, paired by task. Killed, it goes on where it was.

    Example:

        webfarer eval tasks.jsonl scores --world worlds/seven -p base -p runs/quickstart/sft/model
    """
    overrides = settings_of(set_, eval__samples=samples, eval__k=k, seed=seed)
    chosen = context.obj.load_recipe(recipe, overrides)
    rollout, temperature = chosen.rollout, chosen.eval.temperature
    worlds = open_worlds(world, layout=layout, via=via, language=language)
    listed = read_tasks(tasks, worlds)
    task_set = sha256_file(tasks)
    jobs = jobs_for(listed.values(), samples=chosen.eval.samples, greedy=True)
    if len(set(policy)) < len(policy):
        raise BadInput("a policy is given twice: give each once")
    attempts, place, scored = {}, None, {}
    for name in policy:
        agent, renderer = policy_named(name, worlds, rollout, temperature, chosen.family)
        claim(out / _slug(name), {
            **asked_of(name, renderer, worlds, chosen), "family": renderer.family.name,
            "tasks": task_set, "samples": chosen.eval.samples, "seed": seed,
        })  # fmt: skip
        place = arena(worlds, renderer.count, chosen.tools, rollout, seed, chosen.grade)
        with Teller(quiet).bar(Path(name).name, len(jobs)) as update:
            parts = collect(
                agent, place, jobs, out / _slug(name), chunk=rollout.chunk,
                retry_failures=retry_failures, progress=update,
            )  # fmt: skip
        keep_engine(out / _slug(name), agent, rollout)
        attempts[name] = list(parts.read(Trajectory))
        scored[name] = Scored(
            policy_key(name), kept_engine(out / _slug(name)), renderer.tokenizer_sha256,
            renderer.family.name,
        )  # fmt: skip
    assert place is not None
    manifest = score_manifest(chosen, place, task_set, "given", scored)
    report = build_report(
        attempts, listed, k=chosen.eval.k, equivalent=equivalent, manifest=manifest, seed=seed
    )
    tell_toolless(report, Teller(quiet))
    write(report, out / "report.json")
    if json:
        typer.echo(to_json(report), nl=False)
        return
    print_table(table(report))


def _slug(name: str) -> str:
    plain = (char if char.isalnum() or char in "-." else "_" for char in name)
    return "".join(plain).strip("._") or "policy"
