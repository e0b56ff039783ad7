"""What the benchmarks of training's cost share: attempts of a known length, and where time goes.

A model that has learnt nothing does not call tools, and one that has does as it likes. To see what
so many turns cost, a turn's text is replaced by a call once it is sampled: the tokens that were
sampled stay those of the attempt, the loop runs the tool that the text calls, and the attempt goes
on until the turn limit cuts it. Nothing is answered, so rewards are drawn, keyed by the attempt.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from webfarer.grade.sources import Grader, Judged
from webfarer.policy import tags
from webfarer.policy.base import Attempt, Reply
from webfarer.policy.llm import LlmActor, LlmPolicy
from webfarer.rollout.collect import Arena, Job
from webfarer.rollout.react import Rolled
from webfarer.rollout.trainee import Trainee
from webfarer.tools.toolbox import Toolbox
from webfarer.train.rl import reinforce
from webfarer.train.rl_metrics import StepMetric
from webfarer.types import (
    Call,
    Observation,
    RlSettings,
    Task,
    Trajectory,
    Verdict,
    random_for,
)


@dataclass
class Clock:
    """Seconds by name, added up."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, began: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


class Restless(LlmPolicy):
    """A policy whose every turn is read as a search for the task's question."""

    def start(self, attempt: Attempt) -> LlmActor:
        return _Searching(self, attempt)


class _Searching(LlmActor):
    def __init__(self, policy: LlmPolicy, attempt: Attempt) -> None:
        super().__init__(policy, attempt)
        self._words, self._asked = attempt.task.question.split(), 0

    async def act(self, observation: Observation | None) -> Reply:
        reply = await super().act(observation)
        words = self._words[self._asked % len(self._words) :][:6]
        self._asked += 1
        call = Call(name="search", arguments={"query": [" ".join(words)]})
        return replace(reply, text=tags.write("", call), finish="stop")


class TimedToolbox(Toolbox):
    """Tools whose seconds are added up, and whose observations are padded or cut to `length` tokens
    where one is given."""

    def __init__(self, inner: Toolbox, clock: Clock, canned: str = "") -> None:
        super().__init__(inner.tools.values())
        self._clock, self._canned = clock, canned

    async def run(self, call: Call) -> Observation:
        began = time.perf_counter()
        try:
            return Observation.of(self._canned) if self._canned else await super().run(call)
        finally:
            self._clock.add("tools", began)


@dataclass(frozen=True)
class Drawn:
    """Grades a right answer, for what that costs, and then draws the verdict: half are correct."""

    inner: Grader
    clock: Clock
    name: str = "drawn"

    async def judge(self, task: Task, trajectory: Trajectory) -> Judged:
        began = time.perf_counter()
        right = trajectory.model_copy(update={"answer": task.answers[0].text})
        await self.inner.judge(task, right)
        correct = random_for("drawn", task.id, trajectory.member).random() < 0.5
        self.clock.add("grading", began)
        status = "correct" if correct else "wrong"
        return Judged(Verdict(status=status, reason="drawn", grader=self.name))


@dataclass(frozen=True)
class Timed(Trainee):
    """A trainee whose attempts and taking of weights are timed."""

    clock: Clock = field(default_factory=Clock)

    def make(self, jobs: Sequence[Job], step: int) -> list[Rolled]:
        began = time.perf_counter()
        try:
            return super().make(jobs, step)
        finally:
            self.clock.add("rollout", began)

    def take(self, model: Any, version: int) -> None:
        began = time.perf_counter()
        super().take(model, version)
        self.clock.add("weights", began)


def timed(arena: Arena, clock: Clock, canned: str = "") -> Arena:
    """The arena with its tools and its grader timed."""
    boxes = {name: TimedToolbox(box, clock, canned) for name, box in arena.toolboxes.items()}
    return replace(arena, toolboxes=boxes, grader=Drawn(arena.grader, clock))


@dataclass(frozen=True)
class Shares:
    """Where the seconds of some steps went; `model` is what of the rollouts is left when tools and
    grading are taken away: the engine, and Python between its steps."""

    steps: int
    attempts: int
    tokens: int
    trained: int
    model: float
    tools: float
    grading: float
    update: float
    gap: float

    @property
    def step(self) -> float:
        """Seconds of all of it."""
        return self.model + self.tools + self.grading + self.update


def train(
    settings: RlSettings,
    source: Path,
    trainee: Timed,
    tasks: Sequence[Task],
    out: Path,
    *,
    skip: int = 1,
    device: str = "auto",
) -> Shares:
    """Trains, and says where the time went, the first `skip` steps left out."""
    metrics: list[StepMetric] = []
    before: dict[str, float] = {}

    def progress(metric: StepMetric, total: int) -> None:
        if metric.step == skip:
            before.update(trainee.clock.seconds)
        elif metric.step > skip:
            metrics.append(metric)

    reinforce(settings, source, trainee, tasks, out, progress=progress, device=device)
    after = trainee.clock.seconds
    tools, grading = (after.get(n, 0.0) - before.get(n, 0.0) for n in ("tools", "grading"))
    return Shares(
        steps=len(metrics),
        attempts=sum(metric.made for metric in metrics),
        tokens=sum(metric.made_tokens for metric in metrics),
        trained=sum(metric.trained for metric in metrics),
        model=sum(metric.rollout_s for metric in metrics) - tools - grading,
        tools=tools,
        grading=grading,
        update=sum(metric.update_s for metric in metrics),
        gap=metrics[-1].gap,
    )


def peak_mb(device: torch.device) -> float:
    """The most memory so far: the accelerator's, or this process's where there is none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def machine(device: torch.device) -> str:
    """What the numbers were measured on."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return (
        f"{card}; {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for place, name in enumerate(header):
        table.add_column(Text(name), justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    Console(width=console.width if console.is_terminal else 160).print(table)


# Where the processor's time goes

_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("attention", ("attention", "flash", "bmm", "softmax", "flex")),
    ("linear layers", ("mm", "linear", "matmul")),
    ("drawing", ("logsumexp", "cumsum", "searchsorted", "argmax", "nextafter", "multinomial")),
    ("loss", ("cross_entropy", "log_softmax", "nll_loss")),
    ("optimiser", ("adamw", "foreach", "clip_grad", "linalg_vector_norm")),
)
KINDS = (*(name for name, _ in _KINDS), "other operations", "Python")


class Profile:
    """Seconds of the processor by kind of operation between `start` and `stop`; the rest of the
    wall time, in which no operation of torch's ran, is Python's. It slows Python down."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(KINDS, 0.0)
        self._running: torch.profiler.profile | None = None
        self._began = 0.0

    def start(self) -> None:
        self._running = torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True
        )
        self._running.start()
        self._began = time.perf_counter()

    def stop(self) -> None:
        """Adds up what was seen; nothing where it is not running."""
        if self._running is None:
            return
        wall = time.perf_counter() - self._began
        self._running.stop()
        operations = 0.0
        for event in self._running.key_averages():
            seconds = event.self_cpu_time_total / 1e6
            operations += seconds
            self.seconds[kind_of(event.key)] += seconds
        self.seconds["Python"] += max(0.0, wall - operations)
        self._running = None


@dataclass(frozen=True)
class Profiled(Timed):
    """A trainee that profiles its attempts, and what follows until weights are taken: the update.
    The first step is left out."""

    rollouts: Profile = field(default_factory=Profile)
    updates: Profile = field(default_factory=Profile)

    def make(self, jobs: Sequence[Job], step: int) -> list[Rolled]:
        if step < 1:
            return super().make(jobs, step)
        self.rollouts.start()
        try:
            return super().make(jobs, step)
        finally:
            self.rollouts.stop()
            self.updates.start()

    def take(self, model: Any, version: int) -> None:
        self.updates.stop()
        super().take(model, version)


def kind_of(operation: str) -> str:
    """The kind of an operation of torch's, by its name."""
    plain = operation.lower()
    if "log_softmax" in plain or "logsoftmax" in plain:
        return "loss"
    return next(
        (kind for kind, marks in _KINDS if any(m in plain for m in marks)), "other operations"
    )
