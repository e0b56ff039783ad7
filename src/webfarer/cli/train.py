"""`webfarer train`: cold start, and the small base model it starts from."""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from webfarer.cli.options import (
    Json,
    Quiet,
    RecipeName,
    Seed,
    Settings,
    checked,
    folder_for,
    print_json,
    settings_of,
)
from webfarer.cli.processes import processes
from webfarer.cli.progress import Teller, Update
from webfarer.cli.reinforce import reinforce
from webfarer.curate.training_set import read_training_set
from webfarer.graph.worlds.world import MIN_SIZE, build_world
from webfarer.policy.source import model_folder
from webfarer.rollout.world import World
from webfarer.tools.reader import count_words
from webfarer.types import SftSettings, ToolSettings, seed_for
from webfarer.web.extract import extract
from webfarer.web.site import GraphWeb

app = typer.Typer(help="Fine-tune a model, or make the small base model.", no_args_is_help=True)

Out = Annotated[Path, typer.Argument(help="The folder to write; the model is in OUT/model.")]
_BF16 = "bf16 pays on a GPU, and on CPUs that have it."
Precision = Annotated[Literal["float32", "bf16"], typer.Option(help=_BF16)]


@app.command("sft")
def sft(
    context: typer.Context,
    training_set: Annotated[Path, typer.Argument(help="A folder made by webfarer curate.")],
    out: Out,
    model: Annotated[
        str | None, typer.Option(help="The model to start from [the recipe's].")
    ] = None,
    valid: Annotated[
        Path | None, typer.Option(help="A training set that is scored and not trained on.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training set [the recipe's].")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Its peak [the recipe's].")] = None,
    length: Annotated[
        int | None, typer.Option(help="Tokens of a packed row [the recipe's].")
    ] = None,
    rows: Annotated[int | None, typer.Option(help="Packed rows of a step [the recipe's].")] = None,
    precision: Annotated[
        Literal["float32", "bf16"] | None, typer.Option(help=f"{_BF16} [the recipe's]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Keys every random choice [the recipe's].")
    ] = None,
    recipe: RecipeName = "quickstart",
    set_: Settings = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tunes on trajectories, prompts and observations masked; killed, it goes on.

    Settings that are not given are the recipe's, section sft. With several processes, started by
    torchrun, each takes some of a step's rows.

    Example:

        webfarer train sft training-set models/first --epochs 2
    """
    from webfarer.train.sft import fine_tune

    overrides = settings_of(
        set_, model=model, sft__epochs=epochs, sft__learning_rate=learning_rate,
        sft__length=length, sft__rows=rows, sft__precision=precision, sft__seed=seed,
    )  # fmt: skip
    chosen = context.obj.load_recipe(recipe, overrides)
    segments, source = read_training_set(training_set), model_folder(chosen.model)
    kept_back = read_training_set(valid) if valid else []
    with processes() as ranks:
        teller = Teller(quiet or not ranks.first)
        with teller.bar("fine-tuning") as update:
            made = fine_tune(
                chosen.sft, source, segments, folder_for(out), shown(update), valid=kept_back,
                ranks=ranks,
            )  # fmt: skip
        if ranks.first:
            tell_left_out(made, chosen.sft.length, teller)
            _tell(made, json)


app.command("rl")(reinforce)


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

    The model that comes with Webfarer was made with the defaults, in 40 minutes on two busy cores.
    Small worlds and small steps matter: names must change faster than they can be learnt, so
    that copying them is.

    Example:

        webfarer train base models/base --worlds 20
    """
    from webfarer.train.base import BaseSettings, make_base

    settings = BaseSettings(
        training=checked(
            SftSettings, epochs=1, learning_rate=learning_rate, length=1024, rows=4,
            precision=precision, seed=seed, checkpoint_every=500,
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
        web = GraphWeb(build_world(seed_for("base", seed, number), size))
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


def tell_left_out(model: Path, length: int, teller: Teller) -> None:
    """Warns of trajectories that no row could hold, which the model was not trained on."""
    from webfarer.train.folder import left_out

    dropped, given = left_out(model)
    if dropped:
        teller.warn(
            f"{dropped:,} of {given:,} trajectories are longer than sft.length ({length:,} tokens) "
            "and were left out: raise it"
        )


def _tell(made: Path, json: bool) -> None:
    if json:
        print_json({"model": str(made)})
        return
    typer.echo(f"model: {made}")
