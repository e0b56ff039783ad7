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

Update = Callable[..., None]


class _Rate(ProgressColumn):
    """Steps a second, over the time since the stage began."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="dim")


class Teller:
    """Says what goes on, on standard error; `quiet` says nothing but warnings."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.quiet = quiet

    def say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text)

    def warn(self, text: str) -> None:
        self.console.print(f"[yellow]{text}[/]")

    @contextmanager
    def bar(self, name: str, total: int | None = None) -> Iterator[Update]:
        """Gives `update(done, total, note="")` for one long step."""
        columns = (
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
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
