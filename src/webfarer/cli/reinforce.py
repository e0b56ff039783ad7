"""`webfarer train rl`: reinforcement learning on tasks and worlds of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from webfarer.cli.agents import arena, local_engine
from webfarer.cli.options import (
    Json,
    LanguageName,
    Quiet,
    RecipeName,
    Seed,
    Settings,
    Worlds,
    folder_for,
    open_worlds,
    print_json,
    read_tasks,
    settings_of,
)
from webfarer.cli.progress import Teller
from webfarer.policy.chat import load_renderer
from webfarer.policy.llm import LlmPolicy
from webfarer.policy.source import model_folder
from webfarer.rollout.collect import jobs_for
from webfarer.rollout.trainee import Trainee
from webfarer.rollout.world import World
from webfarer.store.manifest import key_of
from webfarer.types import BadInput, Recipe, Task

Algorithm = Literal["ppo", "grpo", "dapo", "dupo"]


def reinforce(
    context: typer.Context,
    tasks: Annotated[Path, typer.Argument(help="A file of tasks to learn from (JSONL).")],
    out: Annotated[Path, typer.Argument(help="The folder to write; the model is in OUT/model.")],
    world: Worlds,
    model: Annotated[str, typer.Option(help="The model to start from: one that can act.")],
    valid: Annotated[
        Path | None, typer.Option(help="Tasks that are scored, greedy, and not learnt from.")
    ] = None,
    algorithm: Annotated[Algorithm | None, typer.Option(help="Which [the recipe's].")] = None,
    steps: Annotated[int | None, typer.Option(help="How many [the recipe's].")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="[the recipe's]")] = None,
    language: LanguageName = "",
    recipe: RecipeName = "quickstart",
    set_: Settings = None,
    seed: Seed = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Improves a model by what its own attempts earn; killed, the same command goes on.

    With --valid the weights of the best score are kept, else the last. OUT/metrics.jsonl has a line
    a step, OUT/shown whole attempts to read. Settings that are not given are the recipe's, sections
    rl, tools and rollout.

    Example:

        webfarer train rl tasks.jsonl models/rl --world worlds/seven --model models/first/model
    """
    from webfarer.train.rl import reinforce as train
    from webfarer.train.rl_metrics import StepMetric

    overrides = settings_of(
        set_, model=model, rl__algorithm=algorithm, rl__steps=steps,
        rl__learning_rate=learning_rate,
    )  # fmt: skip
    chosen, teller = context.obj.load_recipe(recipe, overrides), Teller(quiet)
    worlds = open_worlds(world, language=language)
    learnt = list(read_tasks(tasks, worlds).values())
    scored = list(read_tasks(valid, worlds).values()) if valid else []
    if both := {task.id for task in learnt} & {task.id for task in scored}:
        raise BadInput(f"{valid}: the task {min(both)} is learnt from too; give others")
    trainee = _trainee(chosen, worlds, seed)

    def evaluate(done: int) -> float:
        return _greedy(trainee, scored)

    with teller.bar(chosen.rl.algorithm) as update:

        def progress(metric: StepMetric, total: int) -> None:
            score = "" if metric.score is None else f"held-out {metric.score:.1%}"
            update(metric.step, total, f"solved {metric.solved:.1%} {score}")
            if metric.gap > chosen.rl.gap_alarm:
                teller.warn(
                    f"step {metric.step}: the engine's log-probabilities are {metric.gap:.3f} nats "
                    "a token from the trainer's: use float32 for rollout.dtype"
                )

        made = train(
            chosen.rl, model_folder(chosen.model), trainee, learnt, folder_for(out), seed=seed,
            given=_given(chosen, scored),
            evaluate=evaluate if scored else None, progress=progress,
        )  # fmt: skip
    if json:
        print_json({"model": str(made)})
        return
    typer.echo(f"the model is in {made}")


def _given(recipe: Recipe, scored: Sequence[Task]) -> str:
    """What attempts and scores depend on, beside the settings of the training itself."""
    settings = (part.model_dump(mode="json") for part in (recipe.tools, recipe.rollout))
    return key_of(*settings, recipe.family, [task.model_dump(mode="json") for task in scored])


def _trainee(recipe: Recipe, worlds: Mapping[str, World], seed: int) -> Trainee:
    source = model_folder(recipe.model)
    renderer = load_renderer(source, recipe.family)
    engine = local_engine(source, renderer, recipe.rollout)
    turn = recipe.rollout.turn_tokens
    policy = LlmPolicy("rl", engine, renderer, temperature=1.0, max_turn_tokens=turn)
    place = arena(worlds, renderer.count, recipe.tools, recipe.rollout, seed)
    return Trainee(policy, engine, place)


def _greedy(trainee: Trainee, tasks: Sequence[Task]) -> float:
    """The share of tasks whose attempt at temperature 0 is correct, failures left out."""
    rolled = trainee.attempts(jobs_for(tasks, samples=0, greedy=True))
    judged = [one.trajectory.verdict for one in rolled if one.trajectory.verdict is not None]
    return sum(verdict.status == "correct" for verdict in judged) / max(1, len(judged))
