"""`webfarer eval`: scores of a policy on tasks, with all that it takes to repeat them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webfarer.cli.agents import arena, asked_of, policy_key, policy_named
from webfarer.cli.manifest import claim, score_manifest
from webfarer.cli.options import Json, Quiet, Seed, Worlds, open_worlds, print_table, read_tasks
from webfarer.cli.progress import Teller, tell_toolless
from webfarer.evals.report import build_report, table, to_json, write
from webfarer.grade.rules import equivalent
from webfarer.rollout.collect import Job, collect
from webfarer.store.manifest import sha256_file
from webfarer.types import BadInput, EvalSettings, Recipe, RolloutSettings, Trajectory


def evaluate(
    tasks: Annotated[Path, typer.Argument(help="A file of tasks (JSONL).")],
    out: Annotated[Path, typer.Argument(help="The folder for attempts and report.")],
    world: Worlds,
    policy: Annotated[
        list[str],
        typer.Option("--policy", "-p", help='"expert", "base", a folder or hub id; repeatable.'),
    ],
    samples: Annotated[int, typer.Option(help="Attempts at each task, beside the greedy.")] = 3,
    k: Annotated[int, typer.Option("-k", help="Of pass@k and cons@k.")] = 3,
    temperature: Annotated[float, typer.Option(help="Of the samples.")] = 1.0,
    prompt: Annotated[str, typer.Option(help='"brief" or "full".')] = "brief",
    seed: Seed = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Scores policies on the same tasks: greedy, pass@1, pass@k, cons@k, consistency.

    The last policy is compared with the first, paired by task. Killed, it goes on where it was.

    Example:

        webfarer eval tasks.jsonl scores --world worlds/seven -p base -p runs/quickstart/sft/model
    """
    rollout = RolloutSettings.model_validate({"prompt": prompt})
    settings = EvalSettings(samples=samples, k=k, temperature=temperature)
    recipe = Recipe(name="eval", seed=seed, rollout=rollout, eval=settings)
    worlds = open_worlds(world)
    listed = read_tasks(tasks, worlds)
    task_set = sha256_file(tasks)
    jobs = [Job(task, greedy=True) for task in listed.values()]
    jobs += [Job(task, n) for task in listed.values() for n in range(samples)]
    if len(set(policy)) < len(policy):
        raise BadInput("a policy is given twice: give each once")
    attempts, place = {}, None
    for name in policy:
        agent, renderer = policy_named(name, worlds, rollout, temperature)
        claim(out / _slug(name), {
            **asked_of(name, renderer, worlds, rollout, temperature),
            "tasks": task_set, "samples": samples, "seed": seed,
        })  # fmt: skip
        place = arena(worlds, renderer.count, recipe.tools, rollout, seed)
        with Teller(quiet).bar(Path(name).name, len(jobs)) as update:
            parts = collect(
                agent, place, jobs, out / _slug(name), chunk=rollout.chunk, progress=update
            )
        attempts[name] = list(parts.read(Trajectory))
    assert place is not None
    manifest = score_manifest(recipe, place, task_set, "given")
    manifest["models"] = {name: policy_key(name) for name in policy}
    report = build_report(
        attempts, listed, k=k, equivalent=equivalent, manifest=manifest, seed=seed
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
