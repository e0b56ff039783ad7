"""`webfarer train`: cold start, and the small base model it starts from."""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from webfarer.cli.options import Json, Quiet, Seed, folder_for, print_json
from webfarer.cli.progress import Teller, Update
from webfarer.curate.training_set import read_training_set
from webfarer.graph.world import MIN_SIZE, build_world
from webfarer.policy.source import model_folder
from webfarer.rollout.world import World
from webfarer.tools.reader import count_words
from webfarer.types import SftSettings, ToolSettings, seed_for
from webfarer.web.extract import extract

app = typer.Typer(help="Fine-tune a model, or make the small base model.", no_args_is_help=True)

Out = Annotated[Path, typer.Argument(help="The folder to write; the model is in OUT/model.")]
Precision = Annotated[
    Literal["float32", "bf16"], typer.Option(help="bf16 pays on a GPU, and on CPUs that have it.")
]


@app.command("sft")
def sft(
    training_set: Annotated[Path, typer.Argument(help="A folder made by webfarer curate.")],
    out: Out,
    model: Annotated[str, typer.Option(help="The model to start from [base].")] = "",
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 1,
    learning_rate: Annotated[float, typer.Option(help="Its peak.")] = 2e-3,
    length: Annotated[int, typer.Option(help="Tokens of a packed row.")] = 2048,
    rows: Annotated[int, typer.Option(help="Packed rows of a step.")] = 8,
    precision: Precision = "float32",
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tunes on trajectories, prompts and observations masked; killed, it goes on.

    Example:

        webfarer train sft training-set models/first --epochs 2
    """
    from webfarer.train.sft import fine_tune

    settings = SftSettings(
        epochs=epochs, learning_rate=learning_rate, length=length, rows=rows,
        precision=precision, seed=seed,
    )  # fmt: skip
    segments, source = read_training_set(training_set), model_folder(model)
    with Teller(quiet).bar("fine-tuning") as update:
        made = fine_tune(settings, source, segments, folder_for(out), progress=shown(update))
    _tell(made, json)


@app.command("base")
def base(
    out: Out,
    worlds: Annotated[int, typer.Option(help="How many worlds to read.")] = 750,
    size: Annotated[int, typer.Option(help="Entities of each.")] = 100,
    learning_rate: Annotated[float, typer.Option(help="Its peak.")] = 3e-3,
    precision: Precision = "bf16",
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Makes the small base model from the pages of worlds that no run uses, and nothing else.

    The model that comes with Webfarer was made with the defaults, in about half an hour on two
    cores. Small worlds and small steps matter: names must change faster than they can be learnt, so
    that copying them is.

    Example:

        webfarer train base models/base --worlds 20
    """
    from webfarer.train.base import BaseSettings, make_base

    settings = BaseSettings(
        training=SftSettings(
            epochs=1, learning_rate=learning_rate, length=1024, rows=4, precision=precision,
            seed=seed, checkpoint_every=500,
        )
    )  # fmt: skip
    texts = list(page_texts(seed, worlds, size))
    calls = tool_texts(len(texts))
    with Teller(quiet).bar("base model") as update:
        made = make_base(settings, texts, folder_for(out), shown(update), also_tokenize=calls)
    _tell(made, json)


def page_texts(seed: int, worlds: int, size: int) -> Iterator[str]:
    """The text of every page of worlds whose seeds no run draws (they are keyed by "base"), every
    second one with the addresses of its links."""
    for number in range(worlds):
        web = World(build_world(seed_for("base", seed, number), size)).web
        for place, url in enumerate(web.site.urls()):
            yield extract(web.html(url) or "", url, links=place % 2 == 0).text


def tool_texts(times: int) -> list[str]:
    """The tools as JSON: words that the tokenizer, and not the model, is made from."""
    toolbox = World(build_world(seed_for("base", "tools"), MIN_SIZE)).toolbox(
        ToolSettings(), count_words
    )
    empty = [{"name": name, "arguments": {"url": [""], "goal": ""}} for name in toolbox.names]
    empty += [{"name": name, "arguments": {"query": [""]}} for name in toolbox.names]
    return [dumps([*toolbox.schemas(), *empty])] * times


def shown(update: Update) -> Any:
    """A trainer's progress on a bar."""
    return lambda step, total, loss, rate: update(
        step, total, f"loss {loss:.3f}, {rate:,.0f} tokens/s"
    )


def _tell(made: Path, json: bool) -> None:
    if json:
        print_json({"model": str(made)})
        return
    typer.echo(f"model: {made}")
