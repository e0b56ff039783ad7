"""Reinforcement learning: rollout, grade, select, update. One synchronous loop.

A step makes a group of attempts at each of its tasks under the weights the trainer has, grades
them, selects groups by the algorithm's row (`webfarer.algo.table`) and updates the weights; the
engine then takes them. Token ids, mask and log-probabilities are those recorded when they were
sampled: nothing is decoded and encoded again. Everything random is keyed by the step, so a run that
is killed, anywhere, goes on at its last checkpoint to the same weights.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from webfarer.algo import ALGORITHMS, Algorithm, first
from webfarer.policy.model import load_model
from webfarer.rollout.collect import Job, Rolled
from webfarer.store import append_jsonl, key_of, read_jsonl, write_json, write_jsonl
from webfarer.train.attention import choose_way
from webfarer.train.checkpoint import load_checkpoint, save_checkpoint
from webfarer.train.folder import finished, save_model, source_hash
from webfarer.train.rl_batch import Sampled, make_batch
from webfarer.train.rl_metrics import Score, StepMetric, step_metric
from webfarer.train.rl_tasks import Seen, TaskOrder
from webfarer.train.rl_update import Update, Updater
from webfarer.train.scorer import Scorer
from webfarer.types import (
    BadInput,
    RlSettings,
    Task,
    Trajectory,
    WebfarerError,
    random_for,
)

Evaluate = Callable[[int], float]
"""Called with the steps done, the engine having the weights: a held-out score, higher is better."""
_DRY = 3  # steps in a row in which every attempt failed on our side, before the run stops


class Rollouts(Protocol):
    """Makes attempts under the trainer's weights; `longest` is the engine's context, in tokens."""

    @property
    def longest(self) -> int: ...

    def make(self, jobs: Sequence[Job], step: int) -> list[Rolled]:
        """The attempts, graded, in the order of the jobs; seeds are keyed by step, task, member."""
        ...

    def take(self, model: nn.Module, version: int) -> None:
        """Gives the engine the model's weights, under a version of their own."""
        ...


Progress = Callable[[StepMetric, int], None]


@dataclass(slots=True)
class _Run:
    settings: RlSettings
    row: Algorithm
    rollouts: Rollouts
    order: TaskOrder
    model: nn.Module
    updater: Updater
    out: Path
    seed: int
    cursor: int = 0
    dry: int = 0
    best: float = -math.inf
    best_step: int = -1


def reinforce(
    settings: RlSettings,
    source: Path | str,
    rollouts: Rollouts,
    tasks: Sequence[Task],
    out: Path,
    *,
    seed: int = 0,
    given: str = "",
    evaluate: Evaluate | None = None,
    progress: Progress | None = None,
    device: str = "auto",
) -> Path:
    """Trains the model of a folder or Hugging Face id and returns the folder of the new one.

    `out` gets `model/` (the weights of the best held-out score; the last, where nothing scores),
    `metrics.jsonl`, `groups.jsonl`, `shown/` and, until it is finished, a checkpoint. Run again
    with the same arguments it goes on where it was; `given` tells what attempts and scores depend
    on beside these (tools, limits, what is scored): with another, it is another run. Raises
    BadInput for settings, tasks or attempts that cannot be used and for a folder of another run,
    and WebfarerError where the loss is no longer a number or every attempt fails on our side.
    """
    key = _key(settings, source, tasks, seed, given)
    if finished(out / "model", key):
        return out / "model"
    run = _prepare(settings, source, rollouts, tasks, out, seed, device)
    _claim(out / "run.json", key)
    if settings.prefilter and run.row.prefilter:
        run.order = TaskOrder(_prefiltered(run, tasks), settings, seed)
    done = load_checkpoint(
        out / "checkpoint.safetensors", run.updater.trained, run.updater.optimizer, key
    )
    _resume(run, done)
    rollouts.take(run.model, done)
    if evaluate and settings.eval_every and run.best_step < 0:
        _score(run, evaluate, 0)
    for step in range(done, settings.steps):
        metric = _step(run, step)
        rollouts.take(run.model, step + 1)
        if evaluate and settings.eval_every and (step + 1) % settings.eval_every == 0:
            metric = metric.model_copy(update={"score": _score(run, evaluate, step + 1)})
        append_jsonl(out / "metrics.jsonl", [metric])
        if progress:
            progress(metric, settings.steps)
        if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
            save_checkpoint(
                out / "checkpoint.safetensors",
                run.updater.trained,
                run.updater.optimizer,
                step + 1,
                key,
            )
    return _finish(run, source, key)


def _prepare(
    settings: RlSettings,
    source: Path | str,
    rollouts: Rollouts,
    tasks: Sequence[Task],
    out: Path,
    seed: int,
    device: str,
) -> _Run:
    row = ALGORITHMS[settings.algorithm]
    model = load_model(source, "float32", device)
    reference = load_model(source, "float32", device) if settings.kl else None
    scorer = Scorer(model, choose_way(model))
    kept = Scorer(reference, choose_way(reference)) if reference else None
    updater = Updater(settings, row, scorer, kept)
    return _Run(
        settings, row, rollouts, TaskOrder(tasks, settings, seed), model, updater, Path(out), seed
    )


def _step(run: _Run, step: int) -> StepMetric:
    """Rollout, grade, select, update."""
    begun = time.perf_counter()
    sampled, cursor, note = _sample(run, step)
    rolled_at = time.perf_counter()
    outcomes = [one.outcome for one in sampled]
    counts = run.row.select(outcomes, random_for("rl select", run.seed, step))
    seen = _seen(step + 1, sampled, counts)
    append_jsonl(run.out / "groups.jsonl", seen)
    run.order.learn(seen)
    run.cursor = cursor
    _show(run, step, sampled)
    batch = make_batch(sampled, counts, run.row, run.settings, run.rollouts.longest)
    _check_dry(run, sampled)
    update = (
        run.updater.update(batch, step, run.seed)
        if batch
        else Update(note="no group to learn from")
    )
    ended = time.perf_counter()
    metric = step_metric(
        step + 1,
        run.row.name,
        sampled,
        counts,
        update,
        seconds=(rolled_at - begun, ended - rolled_at),
        cursor=cursor,
    )
    said = "; ".join(part for part in (note, update.note) if part)
    return metric.model_copy(update={"note": said})


def _sample(run: _Run, step: int) -> tuple[list[Sampled], int, str]:
    """The step's groups, the cursor after them, and what there is to say.

    Dynamic sampling takes further tasks until enough groups have a spread, accepts them in task
    order whatever order they were done in, and gives up after `rounds` lots.
    """
    settings, wanted = run.settings, run.settings.tasks
    tasks, cursor = run.order.take(step, run.cursor, wanted)
    sampled = _roll(run, step, tasks, settings.group, step)
    if not run.row.refill:
        return sampled, cursor, ""
    for _ in range(settings.rounds - 1):
        if len(first(wanted, [one.outcome for one in sampled])) == wanted:
            break
        more, cursor = run.order.take(step, cursor, wanted)
        known = {one.group.task_id for one in sampled}
        sampled += _roll(
            run, step, [task for task in more if task.id not in known], settings.group, step
        )
    places = first(wanted, [one.outcome for one in sampled])
    note = "" if len(places) == wanted else f"only {len(places)} of {wanted} groups have a spread"
    return _accepted(sampled, places, wanted), cursor, note


def _accepted(sampled: Sequence[Sampled], places: Sequence[int], wanted: int) -> list[Sampled]:
    """All groups up to the last one accepted: the rest were not needed."""
    last = places[-1] + 1 if len(places) == wanted else len(sampled)
    return list(sampled[:last])


def _roll(run: _Run, step: int, tasks: Sequence[Task], size: int, version: int) -> list[Sampled]:
    """`size` attempts at each task (a group), graded, in task order."""
    jobs = [Job(task, member) for task in tasks for member in range(size)]
    rolled = run.rollouts.make(jobs, step)
    return [
        Sampled.of(task.id, version, rolled[at * size : (at + 1) * size])
        for at, task in enumerate(tasks)
    ]


def _prefiltered(run: _Run, tasks: Sequence[Task]) -> list[Task]:
    """DUPO's first filter (WebSailor, Li et al. 2025): without the tasks that every attempt of the
    first weights solves, and by setting those that none does. Its lots are kept as they are made;
    a task whose attempts failed on our side stays."""
    path, size = run.out / "prefilter.jsonl", run.settings.prefilter
    seen = {one.task: one for one in _kept(path, Seen, 0)}
    run.rollouts.take(run.model, 0)
    left = [task for task in tasks if task.id not in seen]
    for start in range(0, len(left), run.settings.tasks):
        lot = left[start : start + run.settings.tasks]
        found = _seen(0, _roll(run, -1, lot, size, 0), [0] * len(lot))
        append_jsonl(path, found)
        seen |= {one.task: one for one in found}
    return [task for task in tasks if not _settled(seen[task.id], run.settings.drop_unsolved)]


def _settled(seen: Seen, drop_unsolved: bool) -> bool:
    if not seen.valid:
        return False
    return seen.correct == seen.valid or (drop_unsolved and seen.correct == 0)


def _seen(step: int, sampled: Sequence[Sampled], counts: Sequence[int]) -> list[Seen]:
    return [
        Seen(
            step=step,
            task=one.group.task_id,
            correct=one.outcome.correct,
            valid=one.outcome.valid,
            count=count,
        )
        for one, count in zip(sampled, counts, strict=True)
    ]


def _check_dry(run: _Run, sampled: Sequence[Sampled]) -> None:
    members = [member for one in sampled for member in one.group.members]
    failed = [member.failure for member in members if member.failure is not None]
    run.dry = run.dry + 1 if len(failed) == len(members) else 0
    if run.dry == _DRY:
        raise WebfarerError(
            f"every attempt of {_DRY} steps failed on our side (the last: {failed[-1].message}): "
            "mend that and run the same command again"
        )


def _score(run: _Run, evaluate: Evaluate, done: int) -> float:
    """The held-out score; the weights are kept where it is the best so far."""
    score = evaluate(done)
    append_jsonl(run.out / "scores.jsonl", [Score(step=done, score=score)])
    if score > run.best:
        run.best, run.best_step = score, done
        save_checkpoint(
            run.out / "best.safetensors", run.updater.trained, run.updater.optimizer, done, ""
        )
    return score


def _show(run: _Run, step: int, sampled: Sequence[Sampled]) -> None:
    """Whole trajectories of every n-th step, for people to read."""
    every = run.settings.show_every
    if every and (step + 1) % every == 0:
        shown: list[Trajectory] = [member for one in sampled for member in one.group.members]
        write_jsonl(run.out / "shown" / f"step-{step + 1:05d}.jsonl", shown)


# Going on, and ending


def _key(
    settings: RlSettings, source: Path | str, tasks: Sequence[Task], seed: int, given: str
) -> str:
    """What tells one run from another; how often it is kept and shown says nothing."""
    plain = settings.model_dump(mode="json", exclude={"checkpoint_every", "show_every"})
    names = [task.model_dump(mode="json") for task in tasks]
    return key_of("rl-1", plain, source_hash(source), names, seed, given)


def _claim(path: Path, key: str) -> None:
    """Puts the run's key into its folder before anything else is: what another run left there
    before its first checkpoint must not be taken for this one's."""
    if not path.exists():
        write_json(path, {"key": key})
    elif json.loads(path.read_text(encoding="utf-8")) != {"key": key}:
        raise BadInput(
            f"{path.parent} holds another run (settings, tasks, tools or first weights differ): "
            "choose another folder, or remove it"
        )


def _resume(run: _Run, done: int) -> None:
    """Drops what was written of steps that will be taken again, and remembers the rest."""
    metrics = _kept(run.out / "metrics.jsonl", StepMetric, done)
    seen = _kept(run.out / "groups.jsonl", Seen, done)
    scores = _kept(run.out / "scores.jsonl", Score, done)
    run.order.learn(seen)
    run.cursor = metrics[-1].cursor if metrics else 0
    if scores:
        best = max(scores, key=lambda one: (one.score, -one.step))
        run.best, run.best_step = best.score, best.step


def _kept(path: Path, model: Any, done: int) -> list[Any]:
    if not path.exists():
        return []
    kept = [line for line in read_jsonl(path, model, lambda _: None) if line.step <= done]
    write_jsonl(path, kept)
    return kept


def _finish(run: _Run, source: Path | str, key: str) -> Path:
    """The best weights as a model folder; then the checkpoints are no longer needed."""
    best = run.out / "best.safetensors"
    if run.best_step >= 0:
        load_checkpoint(best, run.updater.trained, run.updater.optimizer, "")
    weights_of = run.best_step if run.best_step >= 0 else run.settings.steps
    about = {"steps": run.settings.steps, "weights_of_step": weights_of}
    save_model(run.model, source, run.out / "model", key, run.settings, about)
    for name in ("checkpoint.safetensors", "best.safetensors"):
        (run.out / name).unlink(missing_ok=True)
    return run.out / "model"
