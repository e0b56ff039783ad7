"""`webfarer train rl`: reinforcement learning on tasks and worlds of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webfarer.algo import row_of
from webfarer.cli.agents import arena, trainee
from webfarer.cli.graders import graded_by
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
from webfarer.cli.processes import processes
from webfarer.cli.progress import Teller
from webfarer.policy.chat import load_renderer
from webfarer.policy.source import model_folder
from webfarer.rollout.trainee import Trainee
from webfarer.rollout.world import World
from webfarer.store.manifest import key_of
from webfarer.train.rl_tasks import out_of_reach
from webfarer.types import BadInput, Recipe, Task

if TYPE_CHECKING:
    from webfarer.train.processes import Ranks


def reinforce(
    context: typer.Context,
    tasks: Annotated[Path, typer.Argument(help="A file of tasks to learn from (JSONL).")],
    out: Annotated[Path, typer.Argument(help="The folder to write; the model is in OUT/model.")],
    world: Worlds,
    model: Annotated[str, typer.Option(help="The model to start from: one that can act.")],
    valid: Annotated[
        Path | None, typer.Option(help="Tasks that are scored, greedy, and not learnt from.")
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="ppo, grpo, dapo or dupo [the recipe's].")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="How many [the recipe's].")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="[the recipe's]")] = None,
    language: LanguageName = "",
    recipe: RecipeName = "plain",
    set_: Settings = None,
    seed: Seed = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write OUT/tensorboard too.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Improves a model by what its own attempts earn; killed, the same command goes on.

    With --valid there is a held-out score every rl.eval_every steps, and with rl.keep=best the
    weights of the best one are kept, else the last. OUT/metrics.jsonl has a line a step, OUT/shown
    whole attempts to read. Settings that are not given are the recipe's, sections rl, tools and
    rollout; "plain" has the defaults. With several processes, started by torchrun, each makes a
    share of the attempts and of the update: torchrun --nproc-per-node 8 -m webfarer train rl ...

    Example:

        webfarer train rl tasks.jsonl models/rl --world worlds/seven --model models/first/model
    """
    overrides = settings_of(
        set_, model=model, rl__algorithm=algorithm, rl__steps=steps,
        rl__learning_rate=learning_rate,
    )  # fmt: skip
    with processes() as ranks:
        chosen = context.obj.load_recipe(recipe, overrides)
        row_of(chosen.rl)  # what it refuses, it refuses before anything is read
        worlds = open_worlds(world, language=language)
        learnt = list(read_tasks(tasks, worlds).values())
        scored = list(read_tasks(valid, worlds).values()) if valid else []
        if both := {task.id for task in learnt} & {task.id for task in scored}:
            raise BadInput(f"{valid}: the task {min(both)} is learnt from too; give others")
        trainee = _trainee(chosen, worlds, seed)
        teller = Teller(quiet or not ranks.first)
        beyond = out_of_reach(learnt, chosen.rl)
        if beyond and ranks.first:
            teller.warn(
                f"{beyond} of {len(learnt)} tasks are above the levels of rl.levels_by_step: they "
                "are not learnt from"
            )
        made = _train(chosen, trainee, learnt, scored, folder_for(out), seed, ranks, teller,
                      tensorboard and ranks.first)  # fmt: skip
        if json and ranks.first:
            print_json({"model": str(made)})
        elif ranks.first:
            typer.echo(f"the model is in {made}")


def _train(
    recipe: Recipe,
    trainee: Trainee,
    learnt: Sequence[Task],
    scored: Sequence[Task],
    out: Path,
    seed: int,
    ranks: Ranks,
    teller: Teller,
    tensorboard: bool,
) -> Path:
    """Trains, and tells of it in the first process; returns the folder of the model."""
    from webfarer.cli.rl_live import Live
    from webfarer.train.rl import reinforce as train
    from webfarer.train.rl_board import Board

    board = Board(out / "tensorboard") if tensorboard else None
    with (
        teller.bar(recipe.rl.algorithm, slim=True) as update,
        closing(Live(teller, update, board)) as live,
    ):

        def evaluate(done: int) -> float | None:
            score = trainee.greedy(scored, ranks.share)
            return live.scored(done, score) if ranks.first else score

        return train(
            recipe.rl, model_folder(recipe.model), trainee, learnt, out, seed=seed,
            given=_given(recipe, scored), evaluate=evaluate if scored else None,
            progress=live if ranks.first else None, ranks=ranks,
        )  # fmt: skip


def _given(recipe: Recipe, scored: Sequence[Task]) -> str:
    """What attempts and scores depend on, beside the settings of the training itself."""
    settings = (part.model_dump(mode="json") for part in (recipe.tools, recipe.rollout))
    tasks = [task.model_dump(mode="json") for task in scored]
    return key_of(*settings, recipe.family, tasks, *graded_by(recipe.grade).values())


def _trainee(recipe: Recipe, worlds: Mapping[str, World], seed: int) -> Trainee:
    source = model_folder(recipe.model)
    renderer = load_renderer(source, recipe.family)
    place = arena(worlds, renderer.count, recipe.tools, recipe.rollout, seed, recipe.grade)
    return trainee(recipe, source, renderer, place)
