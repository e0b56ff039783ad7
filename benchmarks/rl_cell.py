"""One cell of a sweep: a variant trained from a seed, scored on held-out tasks, and what it cost.

Everything is kept in the cell's folder and written whole, so that a cell that is killed goes on.
All attempts are charged: those that dynamic sampling did not use, and the pre-filter's. Seconds are
those of rollouts and updates; what is scored along the way costs the run nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from webfarer.cli.agents import arena, local_engine
from webfarer.cli.options import open_worlds, read_tasks
from webfarer.evals.metrics import score
from webfarer.grade.rules import equivalent
from webfarer.grade.sources import Judged
from webfarer.policy.chat import load_renderer
from webfarer.policy.llm import LlmPolicy
from webfarer.policy.source import model_folder
from webfarer.rollout.collect import Arena, collect, jobs_for
from webfarer.rollout.react import Rolled
from webfarer.rollout.trainee import Trainee
from webfarer.rollout.world import check_tasks
from webfarer.store import append_jsonl, read_jsonl, write_json
from webfarer.tools.toolbox import Toolbox
from webfarer.train.rl import reinforce
from webfarer.train.rl_batch import Sampled
from webfarer.train.rl_metrics import StepMetric
from webfarer.types import (
    BadInput,
    Call,
    Observation,
    Record,
    RlSettings,
    RolloutSettings,
    Task,
    ToolSettings,
    Trajectory,
    Verdict,
    random_for,
    seed_for,
)
from webfarer.types.report import Score

Start = Literal["sft", "base"]


@dataclass(frozen=True)
class Variant:
    """One row of a sweep. Without `settings` nothing is trained: the start is scored. Tools take
    `tool_s` seconds more than they do; `prefiltered` is whether tasks that all attempts of the
    first weights solve are taken away before training; `chance` draws the verdicts of training, so
    many of them correct, whatever was answered."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: Start = "sft"
    tool_s: float = 0.0
    prefiltered: bool = False
    chance: float | None = None


class Plan(Record):
    """What all cells of a sweep share. `pool` training tasks, `test` tasks to score with `samples`
    attempts each beside the greedy one, and `curve` others for the curve, every `curve_every`."""

    sweep: str
    run: str
    steps: int = 30
    tasks: int = 16
    group: int = 8
    mini_batches: int = 1
    learning_rate: float = 3e-4
    rounds: int = 10
    margin: int = 256
    context: int = 2048
    pool: int = 960
    prefilter: int = 8
    test: int = 200
    samples: int = 3
    curve: int = 100
    curve_every: int = 5
    levels: tuple[int, ...] = (1, 2)


class Point(Record):
    """The greedy score of the curve's tasks after so many steps."""

    step: int
    greedy: float


class Lot(Record):
    """A lot of pre-filter attempts: (correct, valid) of each task, and what they took."""

    number: int
    found: dict[str, tuple[int, int]]
    attempts: int
    tokens: int
    seconds: float


class Cost(Record):
    """Attempts, tokens (read and written) and seconds."""

    attempts: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Result(Record):
    """A finished cell. `steps` is what each step cost; `curve` begins at step 0; `full` is the
    share of steps that found as many groups with a spread as they have tasks."""

    variant: str
    seed: int
    score: Score
    steps: tuple[Cost, ...] = ()
    rollout_s: float = 0.0
    update_s: float = 0.0
    prefilter: Cost = Cost()
    pool: tuple[int, int] = (0, 0)
    curve: tuple[Point, ...] = ()
    last: dict[str, Any] = {}
    used: float = 1.0
    full: float | None = None


class SlowToolbox(Toolbox):
    """Tools that take some seconds more to answer, as a real web does."""

    def __init__(self, inner: Toolbox, seconds: float) -> None:
        super().__init__(inner.tools.values())
        self._seconds = seconds

    async def run(self, call: Call) -> Observation:
        await asyncio.sleep(self._seconds)
        return await super().run(call)


@dataclass(frozen=True)
class ByChance:
    """Draws verdicts, keyed by the attempt: rewards that say nothing."""

    chance: float
    name: str = "chance"

    async def judge(self, task: Task, trajectory: Trajectory) -> Judged:
        key = (task.id, trajectory.member, trajectory.policy_version)
        correct = random_for("verdict by chance", *key).random() < self.chance
        status = "correct" if correct else "wrong"
        return Judged(Verdict(status=status, reason="drawn", grader=self.name))


def cell_settings(plan: Plan, variant: Variant) -> RlSettings:
    """The settings of a variant's training, the same but for what the variant changes."""
    names = ("steps", "tasks", "group", "mini_batches", "learning_rate", "rounds", "margin")
    given = {name: getattr(plan, name) for name in names}
    plain = {"eval_every": 0, "show_every": 0, "checkpoint_every": 5, "prefilter": 0}
    return RlSettings(**{**plain, **given, **variant.settings})


def tokens_of(rolled: Sequence[Rolled]) -> int:
    """Tokens read and written."""
    return sum(len(segment) for one in rolled for segment in one.segments)


@dataclass(frozen=True)
class Ground:
    """A finished run's folder as the cells of a plan use it."""

    plan: Plan

    @property
    def run(self) -> Path:
        return Path(self.plan.run)

    @cached_property
    def learnt(self) -> list[Task]:
        """The training tasks: the first `pool` by hash, so that all cells share them."""
        return self._first("train", self.plan.pool)

    @cached_property
    def held_out(self) -> tuple[list[Task], list[Task]]:
        """The tasks of the score and those of the curve: never trained on, and none is both."""
        test, curve = self.plan.test, self.plan.curve
        found = self._first("test", test + curve)
        if len(found) < test + curve:
            raise BadInput(f"{self.run} has {len(found)} test tasks: ask for fewer than these")
        return found[:test], found[test:]

    def _first(self, split: str, count: int) -> list[Task]:
        tasks = read_tasks(self.run / "tasks" / f"{split}.jsonl").values()
        allowed = [task for task in tasks if task.level in self.plan.levels]
        return sorted(allowed, key=lambda task: seed_for("sweep", task.id))[:count]

    def source(self, start: Start) -> Path:
        """The folder of the first weights."""
        return self.run / "sft" / "model" if start == "sft" else model_folder("")

    def policy(self, source: Path) -> LlmPolicy:
        """A model folder behind an engine of its own, at temperature 1."""
        rollout, renderer = self.rollout, load_renderer(source)
        engine = local_engine(source, renderer, rollout)
        return LlmPolicy(
            "rl", engine, renderer, max_turn_tokens=rollout.turn_tokens, places=rollout.slots
        )

    @property
    def rollout(self) -> RolloutSettings:
        return RolloutSettings(context=self.plan.context)

    def arena(self, policy: LlmPolicy, split: Literal["train", "test"], seed: int) -> Arena:
        """Where attempts take place; the worlds' indexes are built beforehand."""
        tasks = self.learnt if split == "train" else [*self.held_out[0], *self.held_out[1]]
        names = sorted({task.origin.world for task in tasks})
        worlds = open_worlds(self.run / "worlds" / f"{split}-{name}" for name in names)
        check_tasks(tasks, worlds)
        for world in worlds.values():
            _ = world.made.index
        return arena(worlds, policy.renderer.count, ToolSettings(), self.rollout, seed)


def slower(place: Arena, seconds: float) -> Arena:
    """The arena with tools that take so many seconds more."""
    if not seconds:
        return place
    boxes = {name: SlowToolbox(box, seconds) for name, box in place.toolboxes.items()}
    return replace(place, toolboxes=boxes)


# The pre-filter, made once for all cells that share its start and tools


def prefilter_folder(out: Path, variant: Variant) -> Path:
    """Where the pre-filter's attempts of a variant's start and tools are."""
    return out / f"prefilter-{variant.start}-{1000 * variant.tool_s:.0f}ms"


def prefilter(plan: Plan, out: Path, variant: Variant) -> None:
    """Makes the pre-filter's attempts, lot by lot; killed and run again it goes on."""
    path = prefilter_folder(out, variant) / "lots.jsonl"
    ground = Ground(plan)
    size = plan.tasks
    lots = [ground.learnt[at : at + size] for at in range(0, len(ground.learnt), size)]
    done = {lot.number for lot in _read(path, Lot)}
    if len(done) == len(lots):
        return
    policy = ground.policy(ground.source(variant.start))
    place = slower(ground.arena(policy, "train", 0), variant.tool_s)
    trainee = Trainee(policy, policy.engine, place)  # pyright: ignore[reportArgumentType]
    for number, tasks in enumerate(lots):
        if number not in done:
            append_jsonl(path, [_lot(trainee, number, tasks, plan.prefilter)])


def _lot(trainee: Trainee, number: int, tasks: Sequence[Task], size: int) -> Lot:
    began = time.perf_counter()
    rolled = trainee.make(jobs_for(tasks, samples=size, greedy=False), -1)
    seconds = time.perf_counter() - began
    groups = [
        Sampled.of(task.id, 0, rolled[at * size : (at + 1) * size]) for at, task in enumerate(tasks)
    ]
    found = {one.group.task_id: (one.outcome.correct, one.outcome.valid) for one in groups}
    return Lot(
        number=number, found=found, attempts=len(rolled), tokens=tokens_of(rolled), seconds=seconds
    )


def prefiltered(plan: Plan, out: Path, variant: Variant, tasks: Sequence[Task]) -> list[Task]:
    """The tasks that not every attempt solved."""
    lots = _read(prefilter_folder(out, variant) / "lots.jsonl", Lot)
    found = {name: counts for lot in lots for name, counts in lot.found.items()}
    if missing := [task.id for task in tasks if task.id not in found]:
        raise BadInput(f"the pre-filter lacks {len(missing)} tasks: run it first")
    settled = {name for name, (correct, valid) in found.items() if 0 < valid == correct}
    return [task for task in tasks if task.id not in settled]


def _prefilter_cost(out: Path, variant: Variant) -> Cost:
    if not variant.prefiltered:
        return Cost()
    lots = _read(prefilter_folder(out, variant) / "lots.jsonl", Lot)
    return Cost(
        attempts=sum(lot.attempts for lot in lots),
        tokens=sum(lot.tokens for lot in lots),
        seconds=sum(lot.seconds for lot in lots),
    )


# A cell


def run_cell(plan: Plan, variant: Variant, seed: int, out: Path, cell: Path) -> Result:
    """Trains and scores, or goes on with it, and writes `result.json` into the cell's folder."""
    path = cell / "result.json"
    if path.exists():
        return read_result(path)
    ground = Ground(plan)
    model, tasks = ground.source(variant.start), ground.learnt
    if variant.settings:
        if variant.prefiltered:
            tasks = prefiltered(plan, out, variant, tasks)
        model = _train(ground, variant, seed, tasks, cell)
    policy = ground.policy(model)
    test = {task.id: task for task in ground.held_out[0]}
    jobs = jobs_for(test.values(), samples=plan.samples, greedy=True)
    parts = collect(policy, ground.arena(policy, "test", seed), jobs, cell / "eval", chunk=256)
    k = max(1, min(3, plan.samples))
    scored = score(variant.name, parts.read(Trajectory), test, k, equivalent, seed=seed)
    result = Result(
        variant=variant.name, seed=seed, score=scored.model_copy(update={"policy": variant.name}),
        prefilter=_prefilter_cost(out, variant), pool=(len(ground.learnt), len(tasks)),
        **_spent(plan, cell),
    )  # fmt: skip
    write_json(path, result.model_dump(mode="json", by_alias=True))
    return result


def read_result(path: Path) -> Result:
    """A finished cell."""
    return Result.model_validate_json(path.read_bytes())


def _train(ground: Ground, variant: Variant, seed: int, tasks: Sequence[Task], cell: Path) -> Path:
    """The folder of the last weights; the curve goes to the cell's folder on the way."""
    plan, source = ground.plan, ground.source(variant.start)
    policy = ground.policy(source)
    place = slower(ground.arena(policy, "train", seed), variant.tool_s)
    if variant.chance is not None:
        place = replace(place, grader=ByChance(variant.chance))
    trainee = Trainee(policy, policy.engine, place)  # pyright: ignore[reportArgumentType]
    judged = Trainee(policy, policy.engine, ground.arena(policy, "test", seed))  # pyright: ignore[reportArgumentType]

    def point(step: int) -> None:
        if plan.curve and step not in {one.step for one in _read(cell / "curve.jsonl", Point)}:
            greedy = _greedy(judged, ground.held_out[1])
            append_jsonl(cell / "curve.jsonl", [Point(step=step, greedy=greedy)])
            print(f"{variant.name}, seed {seed}: step {step}, held-out {greedy:.1%}", flush=True)

    def progress(metric: StepMetric, total: int) -> None:
        if metric.step % plan.curve_every == 0 or metric.step == total:
            point(metric.step)

    if not (cell / "metrics.jsonl").exists():
        point(0)
    return reinforce(
        cell_settings(plan, variant), source, trainee, tasks, cell, seed=seed,
        given=f"{plan.context} {variant.tool_s}", progress=progress,
    )  # fmt: skip


def _greedy(trainee: Trainee, tasks: Sequence[Task]) -> float:
    """The greedy score: that of `webfarer.evals.metrics`."""
    rolled = trainee.attempts(jobs_for(tasks, samples=0, greedy=True))
    listed = {task.id: task for task in tasks}
    found = score("rl", [one.trajectory for one in rolled], listed, 1, equivalent)
    return found.greedy or 0.0


def _spent(plan: Plan, cell: Path) -> dict[str, Any]:
    """What training took, by step: with what dynamic sampling made and did not use."""
    metrics = _read(cell / "metrics.jsonl", StepMetric)
    steps = tuple(
        Cost(
            attempts=metric.made,
            tokens=metric.made_tokens,
            seconds=metric.rollout_s + metric.update_s,
        )
        for metric in metrics
    )
    learnt = sum(metric.kept * metric.attempts / metric.groups for metric in metrics)
    return {
        "steps": steps,
        "rollout_s": sum(metric.rollout_s for metric in metrics),
        "update_s": sum(metric.update_s for metric in metrics),
        "curve": tuple(sorted(_read(cell / "curve.jsonl", Point), key=lambda one: one.step)),
        "last": metrics[-1].model_dump(mode="json") if metrics else {},
        "used": learnt / max(1, sum(step.attempts for step in steps)),
        "full": fmean(metric.spread >= plan.tasks for metric in metrics) if metrics else None,
    }


def _read(path: Path, record: Any) -> list[Any]:
    return list(read_jsonl(path, record, lambda _: None)) if path.exists() else []
