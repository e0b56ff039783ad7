"""`webfarer tasks`: questions proven to have one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from webfarer.cli.options import (
    Json,
    LanguageName,
    LayoutName,
    Seed,
    Worlds,
    levels,
    open_worlds,
    print_json,
    read_tasks,
)
from webfarer.grade.gold import gold_answer
from webfarer.grade.rules import check_gold
from webfarer.graph.query import execute
from webfarer.rollout.world import World
from webfarer.store.jsonl import write_jsonl
from webfarer.synth.tasks import Source, make_tasks
from webfarer.types import BadInput, Task

app = typer.Typer(help="Make tasks from graphs, or check a file of them.", no_args_is_help=True)

TaskFile = Annotated[Path, typer.Argument(help="A file of tasks (JSONL).")]


@app.command("make")
def make(
    out: TaskFile,
    world: Worlds,
    level: Annotated[str, typer.Option(help="Tasks of each level, of each world.")] = "1=50,2=50",
    split: Annotated[Literal["train", "valid", "test"], typer.Option(help="Their split.")] = "test",
    language: LanguageName = "",
    english_names: Annotated[
        bool,
        typer.Option("--english-names", help="Ask about what has none in the language too."),
    ] = False,
    layout: LayoutName = "site",
    seed: Seed = 1,
    json: Json = False,
) -> None:
    """Writes tasks, each proven to have exactly one answer in its graph.

    They are asked in the worlds' language, or in the one given.

    Examples:

        webfarer tasks make tasks.jsonl --world worlds/seven --level 1=100,2=100,3=20

        webfarer tasks make tasks.jsonl --world graphs/wikidata --language zh --english-names
    """
    made: list[Task] = []
    wanted = levels(level)
    worlds = open_worlds(world, layout=layout, language=language)
    for each in worlds.values():
        source = Source(each.graph, each.url_of, english_names=english_names)
        made += make_tasks(source, seed=seed, split=split, per_level=wanted, recipe="cli")
    if not made:
        raise BadInput(
            "no valid question can be asked of these worlds: give larger ones, or --english-names "
            "where few things have a name in their language"
        )
    write_jsonl(out, made)
    if json:
        print_json({"file": str(out), "tasks": len(made)})
        return
    asked = sum(wanted.values()) * len(worlds)
    of = "" if len(made) == asked else f" of the {asked:,} asked for"
    typer.echo(f"{len(made):,} tasks{of} in {out}. One of them: {made[0].question}")


@app.command("check")
def check(
    task_file: TaskFile, world: Worlds, language: LanguageName = "", json: Json = False
) -> None:
    """Proves every task again: its query has one answer, which is graded correct.

    Example:

        webfarer tasks check tasks.jsonl --world worlds/seven
    """
    worlds = open_worlds(world, language=language)
    tasks = read_tasks(task_file, worlds)
    for task in tasks.values():
        _prove(task, worlds[task.origin.world])
    if json:
        print_json({"file": str(task_file), "tasks": len(tasks), "proven": len(tasks)})
        return
    typer.echo(f"{len(tasks):,} tasks, each with exactly one answer")


def _prove(task: Task, world: World) -> None:
    check_gold(task)
    if task.query is None:
        raise BadInput(f"task {task.id} has no query: it cannot be proven")
    found = execute(task.query, world.graph)
    answers = [gold_answer(world.graph, node).text for node in found]
    if answers != [answer.text for answer in task.answers]:
        raise BadInput(f"task {task.id}: its query gives {answers[:3]}, not its gold answer")
