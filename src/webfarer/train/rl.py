"""Reinforcement learning: rollout, grade, select, update. One synchronous loop.

A step makes a group of attempts at each of its tasks under the weights the trainer has, grades
them, selects groups by the algorithm's row (`webfarer.algo.table`) and updates the weights; the
engine then takes them. Token ids, mask and log-probabilities are those recorded when they were
sampled: nothing is decoded and encoded again. Everything random is keyed by the step, so a run that
is killed, anywhere, goes on at its last checkpoint to the same weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from webfarer.algo import Algorithm, first, row_of
from webfarer.rollout.collect import Job, Rolled
from webfarer.store import key_of
from webfarer.train.adapters import Stateful
from webfarer.train.folder import source_hash
from webfarer.train.processes import Ranks
from webfarer.train.rl_batch import Drawn, Sampled, make_batch
from webfarer.train.rl_files import RunFiles
from webfarer.train.rl_metrics import Score, StepMetric, Watch, broken, step_metric
from webfarer.train.rl_tasks import Seen, TaskOrder
from webfarer.train.rl_update import Update, Updater
from webfarer.train.scored import Trained, load_trained
from webfarer.types import RlSettings, Task, WebfarerError, random_for

Evaluate = Callable[[int], float | None]
"""Called with the steps done, the engine having the weights: a held-out score, higher is better, or
None where none can be given."""
_WHOLE = (
    "this family's logits cannot be made in chunks: those of a whole row are held, so keep "
    "micro_tokens small"
)
_DRY = 3  # steps in a row in which every attempt failed on our side, before the run stops


class Rollouts(Protocol):
    """Makes attempts under the trainer's weights; `longest` is the engine's context, in tokens."""

    @property
    def longest(self) -> int: ...

    def make(self, jobs: Sequence[Job], step: int) -> list[Rolled]:
        """The attempts, graded, in the order of the jobs; seeds are keyed by step, task, member."""
        ...

    def take(self, model: Stateful, version: int) -> None:
        """Gives the engine the model's weights, under a version of their own."""
        ...


Progress = Callable[[StepMetric, int], None]


@dataclass(slots=True)
class _Run:
    settings: RlSettings
    row: Algorithm
    rollouts: Rollouts
    order: TaskOrder
    model: Trained
    updater: Updater
    files: RunFiles
    ranks: Ranks
    seed: int
    watch: Watch
    said: str = ""
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
    ranks: Ranks | None = None,
) -> Path:
    """Trains the model of a folder or Hugging Face id and returns the folder of the new one.

    `out` gets `model/` (the weights of the best held-out score; the last by setting, and where
    nothing scores), `metrics.jsonl`, `groups.jsonl`, `shown/` and, until it is finished, a
    checkpoint; with adapters also `adapter/`, in peft's format, and they are merged in `model/`.
    Run again with the same arguments it goes on where it was; `given` tells what attempts and
    scores depend on beside these (tools, limits, what is scored): with another, it is another run.
    With several processes (`ranks`) each calls this with the same arguments, and with rollouts of
    its own, of which it makes a share; `out` is one folder, seen by all. Raises BadInput for
    settings, tasks or attempts that cannot be used and for a folder of another run, and
    WebfarerError where the loss is no longer a number or every attempt fails on our side.
    """
    key = _key(settings, source, tasks, seed, given)
    ranks = ranks or Ranks()
    files = RunFiles(Path(out), key, ranks)
    if files.finished():
        return files.model
    row = row_of(settings)
    model = load_trained(settings, source, row.critic, device, ranks, seed)
    updater, order = Updater(settings, row, model, ranks), TaskOrder(tasks, settings, seed)
    run = _Run(
        settings, row, rollouts, order, model, updater, files, ranks, seed, Watch(settings),
        "" if model.scored.chunked else _WHOLE,
    )  # fmt: skip
    files.claim()
    if settings.prefilter and row.prefilter:
        run.order = TaskOrder(_prefiltered(run, tasks), settings, seed)
    done = files.load(updater)
    _resume(run, done)
    rollouts.take(model.weights, done)
    if evaluate and settings.eval_every and run.best_step < 0:
        _score(run, evaluate, done)
    for step in range(done, settings.steps):
        metric = _step(run, step)
        rollouts.take(model.weights, step + 1)
        if evaluate and settings.eval_every and (step + 1) % settings.eval_every == 0:
            metric = _scored(metric, _score(run, evaluate, step + 1))
        files.append("metrics.jsonl", [metric])
        if progress:
            progress(metric, settings.steps)
        if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
            files.save(updater, step + 1)
            files.drop_bests(run.best_step)
    chosen = run.best_step if settings.keep == "best" else -1
    return files.finish(updater, model, source, settings, chosen)


def _step(run: _Run, step: int) -> StepMetric:
    """Rollout, grade, select, update."""
    begun = time.perf_counter()
    drawn = _sample(run, step)
    sampled = drawn.sampled
    rolled_at = time.perf_counter()
    outcomes = [one.outcome for one in sampled]
    counts = run.row.select(outcomes, random_for("rl select", run.seed, step))
    seen = _seen(step + 1, sampled, counts)
    run.files.append("groups.jsonl", seen)
    run.order.learn(seen)
    run.cursor = drawn.cursor
    if run.settings.show_every and (step + 1) % run.settings.show_every == 0:
        run.files.show(step + 1, sampled)
    batch = make_batch(sampled, counts, run.row, run.settings, run.rollouts.longest)
    _check_dry(run, sampled)
    update = run.updater.update(batch, step, run.seed) if batch else _looked(run, sampled)
    ended = time.perf_counter()
    metric = step_metric(
        step + 1,
        run.row.name,
        sampled,
        counts,
        update,
        seconds=(rolled_at - begun, ended - rolled_at),
        cursor=drawn.cursor,
        spare=drawn.spare,
    )
    said = "; ".join(part for part in (run.said, drawn.note, update.note) if part)
    run.said = ""
    return run.watch.look(metric.model_copy(update={"note": said}))


def _looked(run: _Run, sampled: Sequence[Sampled]) -> Update:
    """Of a step without an update: whether the engine has the weights, by what it has sampled."""
    longest = run.rollouts.longest
    every = make_batch(sampled, [1] * len(sampled), run.row, run.settings, longest)
    update = run.updater.look(every) if every else Update()
    note = "no group to learn from"
    update.note = f"{note}; {update.note}" if update.note else note
    return update


def _sample(run: _Run, step: int) -> Drawn:
    """The step's groups.

    Dynamic sampling makes lots of tasks until enough groups have a spread, accepts them in task
    order whatever order they were done in, and gives up after `rounds` lots.
    """
    settings, wanted = run.settings, run.settings.tasks
    if not run.row.refill:
        tasks, cursor = run.order.take(step, run.cursor, wanted)
        once = list({task.id: task for task in tasks}.values())
        note = "" if len(once) == wanted else f"only {len(once)} of {wanted} tasks are left"
        return Drawn(_roll(run, step, once, settings.group, step), (), cursor, note)
    sampled: list[Sampled] = []
    cursor, places = run.cursor, ()
    for _ in range(settings.rounds):
        lot = math.ceil(settings.oversample * (wanted - len(places)))
        known = {one.group.task_id for one in sampled}
        tasks, cursor = run.order.take(step, cursor, lot, known)
        new = {task.id: task for task in tasks if task.id not in known}
        if not new:
            break
        sampled += _roll(run, step, list(new.values()), settings.group, step)
        places = first(wanted, [one.outcome for one in sampled])
        if len(places) == wanted:
            last = places[-1] + 1
            return Drawn(sampled[:last], sampled[last:], cursor)
    return Drawn(sampled, (), cursor, f"only {len(places)} of {wanted} groups have a spread")


def _roll(run: _Run, step: int, tasks: Sequence[Task], size: int, version: int) -> list[Sampled]:
    """`size` attempts at each task (a group), graded, in task order."""
    jobs = [Job(task, member) for task in tasks for member in range(size)]
    rolled = run.ranks.share(jobs, lambda mine: run.rollouts.make(mine, step))
    return [
        Sampled.of(task.id, version, rolled[at * size : (at + 1) * size])
        for at, task in enumerate(tasks)
    ]


def _prefiltered(run: _Run, tasks: Sequence[Task]) -> list[Task]:
    """DUPO's first filter (WebSailor, Li et al. 2025): without the tasks that every attempt of the
    first weights solves, and by setting those that none does. Its lots are kept as they are made.

    A task whose attempts failed on our side stays. Run again it is tried again, but not once steps
    are kept: were it left out then, they would have been of another order of tasks."""
    name, size = "prefilter.jsonl", run.settings.prefilter
    seen = {one.task: one for one in run.files.kept(name, Seen, 0)}
    if not run.files.begun():
        seen = {task: one for task, one in seen.items() if one.valid}
    run.rollouts.take(run.model.weights, 0)
    left = [task for task in tasks if task.id not in seen]
    for start in range(0, len(left), run.settings.tasks):
        lot = left[start : start + run.settings.tasks]
        sampled = _roll(run, -1, lot, size, 0)
        found = _seen(0, sampled, [0] * len(lot))
        run.files.append(name, found)
        _check_dry(run, sampled)
        seen |= {one.task: one for one in found}
    run.dry = 0
    return [task for task in tasks if not _settled(seen.get(task.id), run.settings.drop_unsolved)]


def _settled(seen: Seen | None, drop_unsolved: bool) -> bool:
    if seen is None or not seen.valid:
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
            tokens=one.tokens,
        )
        for one, count in zip(sampled, counts, strict=True)
    ]


def _check_dry(run: _Run, sampled: Sequence[Sampled]) -> None:
    members = [member for one in sampled for member in one.group.members]
    failed = [what for member in members if (what := broken(member)) is not None]
    run.dry = run.dry + 1 if len(failed) == len(members) else 0
    if run.dry == _DRY:
        raise WebfarerError(
            f"every attempt of {_DRY} steps failed on our side (the last: {failed[-1]}): "
            "mend that and run the same command again"
        )


def _score(run: _Run, evaluate: Evaluate, done: int) -> float | None:
    """The held-out score, None where there is none; by setting the weights are kept where it is the
    best so far: before it is said, so that a best score without its weights cannot be left."""
    score = run.ranks.gathered(evaluate(done))[0]
    if score is None:
        return None
    if score > run.best:
        if run.settings.keep == "best":
            run.files.save_best(run.updater, done)
        run.best, run.best_step = score, done
    run.files.append("scores.jsonl", [Score(step=done, score=score)])
    return score


def _scored(metric: StepMetric, score: float | None) -> StepMetric:
    note = "" if score is not None else "no held-out score: most of its attempts failed on our side"
    said = "; ".join(part for part in (metric.note, note) if part)
    return metric.model_copy(update={"score": score, "note": said})


# Going on, and ending


def _key(
    settings: RlSettings, source: Path | str, tasks: Sequence[Task], seed: int, given: str
) -> str:
    """What tells one run from another."""
    names = [task.model_dump(mode="json") for task in tasks]
    return key_of("rl-1", settings.telling(), source_hash(source), names, seed, given)


def _resume(run: _Run, done: int) -> None:
    """Drops what was written of steps that will be taken again, and remembers the rest."""
    metrics = run.files.kept("metrics.jsonl", StepMetric, done)
    seen = run.files.kept("groups.jsonl", Seen, done)
    scores = run.files.kept("scores.jsonl", Score, done)
    if scores and run.settings.keep == "best":
        best = max(scores, key=_better).step
        if not run.files.has_best(best):  # a finished run whose model was removed: score it again
            scores = run.files.kept("scores.jsonl", Score, done - 1)
            scores = [one for one in scores if run.files.has_best(one.step)]
    run.order.learn(seen)
    for metric in metrics:
        run.watch.look(metric)
    run.cursor = metrics[-1].cursor if metrics else 0
    if scores:
        first = max(scores, key=_better)
        run.best, run.best_step = first.score, first.step


def _better(one: Score) -> tuple[float, int]:
    """Of equal scores the earlier one's weights are kept."""
    return one.score, -one.step
