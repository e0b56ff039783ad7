"""What a person sees while a run goes on: one line a stage, with rate and time left.

On a terminal it is a bar; elsewhere (a log, a notebook) a line every `EVERY` seconds at most.
"""

from __future__ import annotations

import time
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
EVERY = 10.0  # seconds between lines off a terminal


class _Rate(ProgressColumn):
    """Steps a second, over the time since the stage began."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="dim")


class _Each(ProgressColumn):
    """Seconds a step, over the time since the stage began."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{1 / speed:,.1f} s each" if speed else "", style="dim")


class Teller:
    """Says what goes on, on standard error; `quiet` says nothing but warnings."""

    def __init__(self, quiet: bool = False, now: Callable[[], float] = time.monotonic) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.quiet = quiet
        self._now = now

    def say(self, text: str, style: str = "") -> None:
        if not self.quiet:
            self.console.print(text, style=style, soft_wrap=True)

    def warn(self, text: str) -> None:
        self.console.print(text, style="yellow", soft_wrap=True)

    @contextmanager
    def bar(self, name: str, total: int | None = None, *, slim: bool = False) -> Iterator[Update]:
        """Gives `update(done, total, note="")` for one long step; `slim` leaves the room of the bar
        itself to the note."""
        if self.quiet:
            yield lambda done, total, note="": None
        elif self.console.is_terminal:
            with self._live(name, total, slim) as update:
                yield update
        else:
            yield Lines(name, self.say, self._now)

    @contextmanager
    def _live(self, name: str, total: int | None, slim: bool) -> Iterator[Update]:
        wide = (
            TextColumn("{task.description:<18}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
        )
        narrow = (
            TextColumn("{task.description}", markup=False),
            MofNCompleteColumn(),
            _Each(),
        )
        columns = (
            *(narrow if slim else wide),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
        )
        with Progress(*columns, console=self.console) as progress:
            handle = progress.add_task(name, total=total, note="")

            def update(done: int, total: int, note: str = "") -> None:
                progress.update(handle, completed=done, total=total, note=note)

            yield update


class Lines:
    """An `Update` that prints lines: the first, then one every `EVERY` seconds, and the last.

    Rate and time left stand on what was done since the first update, for a run that goes on finds
    much of its work done.
    """

    def __init__(self, name: str, say: Callable[[str], None], now: Callable[[], float]) -> None:
        self._name, self._say, self._now = name, say, now
        self._first: tuple[float, int] | None = None
        self._said: tuple[float, int] | None = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = self._now()
        self._first = self._first or (now, done)
        due = self._said is None or now - self._said[0] >= EVERY
        ends = done >= total and self._said is not None and self._said[1] != done
        if due or ends:
            self._said = (now, done)
            pace = self._pace(now, done, total)
            self._say(", ".join(filter(None, (f"{self._name}: {done:,}/{total:,}", *pace, note))))

    def _pace(self, now: float, done: int, total: int) -> Iterator[str]:
        assert self._first is not None
        seconds, steps = now - self._first[0], done - self._first[1]
        if seconds <= 0 or steps <= 0:
            return
        rate = steps / seconds
        yield f"{rate:,.1f}/s" if rate >= 1 else f"{1 / rate:,.1f} s each"
        if done < total:
            yield f"{_clock((total - done) / rate)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def tell_toolless(report: Report, teller: Teller) -> None:
    """Warns of every policy that called no tool at all: its score is not that of an agent."""
    for name, score in report.policies.items():
        acted = score.behaviour
        if acted.attempts and not acted.calls:
            teller.warn(f"{name} made no tool call in {acted.attempts:,} attempts")
