"""The command line: arguments in, exit codes out. Nothing else reads either."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from webfarer import __version__
from webfarer.cli import curate, evaluate, graph, rollout, run, tasks, train, web, world
from webfarer.cli.pipeline import Render
from webfarer.types import Recipe, WebfarerError


@dataclass(frozen=True)
class Parts:
    """What the command line is given: how a report is shown, where recipes come from."""

    render: Render
    load_recipe: Callable[..., Recipe]


app = typer.Typer(
    name="webfarer",
    help="Train and measure web-research agents, end to end.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.add_typer(world.app, name="world")
app.add_typer(graph.app, name="graph")
app.add_typer(web.app, name="web")
app.add_typer(tasks.app, name="tasks")
app.command("rollout")(rollout.rollout)
app.command("curate")(curate.curate)
app.add_typer(train.app, name="train")
app.command("eval")(evaluate.evaluate)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"webfarer {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train and measure web-research agents, end to end: worlds, tasks, trajectories, cold start,
    scores."""


def _memory_ran_out(error: Exception) -> bool:
    """Without torch there is but one such error."""
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from webfarer.policy.support import out_of_memory

    return out_of_memory(error)


def main_with(parts: Parts) -> None:
    """Runs a command. An error of ours is one line on standard error and its exit code."""
    try:
        app(obj=parts)
    except WebfarerError as error:
        sys.stderr.write(f"webfarer: {error}\n")
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers", "safetensors"):
            raise
        sys.stderr.write(
            f"webfarer: this needs {error.name}: install with pip install 'webfarer[train]'\n"
        )
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"webfarer: {place}{error.strerror or error}\n")
        sys.exit(1)
    except (RuntimeError, MemoryError) as error:
        if not _memory_ran_out(error):
            raise
        sys.stderr.write(
            "webfarer: out of memory: what is written is kept; use a smaller model, fewer "
            "rollout.slots, a shorter rollout.context or, in training, lora_rank\n"
        )
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as stop:
        interrupted = isinstance(stop, KeyboardInterrupt) or stop.code == 130  # typer's own
        if not interrupted:
            raise
        sys.stderr.write("webfarer: interrupted; run the same command again to go on\n")
        sys.exit(130)
