"""What a person sees while a run goes on: one line a stage, with rate and time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from webfarer.types.report import Report

Update = Callable[..., None]


class _Rate(ProgressColumn):
    """Steps a second, over the time since the stage began."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="dim")


class Teller:
    """Says what goes on, on standard error; `quiet` says nothing but warnings."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.quiet = quiet

    def say(self, text: str, style: str = "") -> None:
        if not self.quiet:
            self.console.print(text, style=style, soft_wrap=True)

    def warn(self, text: str) -> None:
        self.console.print(text, style="yellow", soft_wrap=True)

    @contextmanager
    def bar(self, name: str, total: int | None = None) -> Iterator[Update]:
        """Gives `update(done, total, note="")` for one long step."""
        columns = (
            TextColumn("{task.description:<18}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
        )
        plain = not self.console.is_terminal
        with Progress(*columns, console=self.console, disable=self.quiet or plain) as progress:
            handle = progress.add_task(name, total=total, note="")
            told = -1

            def update(done: int, total: int, note: str = "") -> None:
                nonlocal told
                progress.update(handle, completed=done, total=total, note=note)
                quarter = 4 * done // max(total, 1)
                if plain and not self.quiet and quarter != told:
                    told = quarter
                    self.console.print(f"{name}: {done}/{total} {note}".rstrip())

            yield update


def tell_toolless(report: Report, teller: Teller) -> None:
    """Warns of every policy that called no tool at all: its score is not that of an agent."""
    for name, score in report.policies.items():
        acted = score.behaviour
        if acted.attempts and not acted.calls:
            teller.warn(f"{name} made no tool call in {acted.attempts:,} attempts")
