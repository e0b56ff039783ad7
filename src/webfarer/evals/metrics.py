"""Scores: greedy, pass@1, pass@k, cons@k and consistency, with failures read both ways.

pass@k is the unbiased estimator of Chen et al. 2021 (arXiv 2107.03374, section 2.1). Two readings
of the same attempts: `left_out` drops what failed on our side or could not be judged, `as_wrong`
counts it as wrong. Tasks weigh the same in every score but consistency, a share of samples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from webfarer.evals.behaviour import Seen, answer_in, behaviour
from webfarer.evals.bootstrap import DIGITS, Floats, intervals, paired_interval
from webfarer.types import AnswerKind, BadInput, Task, Trajectory
from webfarer.types.report import (
    Comparison,
    Difference,
    Differences,
    Rates,
    Reading,
    Score,
)

Equivalent = Callable[[str, str, AnswerKind], bool]
Status = Literal["correct", "wrong", "unjudged", "failure"]
How = Literal["left_out", "as_wrong"]


def status(trajectory: Trajectory) -> Status:
    """What an attempt came to. Raises BadInput where it has neither verdict nor failure."""
    if trajectory.failure is not None or trajectory.stop == "failure":
        return "failure"
    if trajectory.verdict is None:
        raise BadInput(f"{trajectory.id} has no verdict: grade it before scoring")
    return trajectory.verdict.status


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """The chance that k of n samples, of which c are correct, hold a correct one.

    1 - C(n-c, k) / C(n, k) as a product, which cannot overflow (Chen et al. 2021, figure 3).
    None where n < k. Raises BadInput unless 0 <= c <= n and k >= 1.
    """
    if not 0 <= c <= n or k < 1:
        raise BadInput(f"pass@{k} of {c} correct among {n} means nothing: give 0 <= c <= n, k >= 1")
    if n < k:
        return None
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def majority(
    answers: Sequence[str | None], correct: Sequence[bool], same: Callable[[str, str], bool]
) -> bool:
    """Whether the largest class of equivalent answers is correct; a tie for largest is wrong.

    An answer joins the first class whose first answer it equals, and a class is as correct as its
    first answer is. No answer joins no class: it can neither win nor tie.
    """
    firsts: list[int] = []
    votes: list[int] = []
    for at, answer in enumerate(answers):
        if answer is None:
            continue
        for place, first in enumerate(firsts):
            if same(answers[first] or "", answer):
                votes[place] += 1
                break
        else:
            firsts.append(at)
            votes.append(1)
    most = max(votes, default=0)
    return votes.count(most) == 1 and correct[firsts[votes.index(most)]]


@dataclass(frozen=True, slots=True)
class _Marks:
    """One task under one reading: its greedy mark, if any, and its samples in order of member."""

    task: Task
    greedy: bool | None
    samples: tuple[bool, ...]
    answers: tuple[str | None, ...]


def _marks(task: Task, attempts: Sequence[Trajectory], how: How) -> _Marks:
    admitted = [
        attempt
        for attempt in attempts
        if how == "as_wrong" or status(attempt) in ("correct", "wrong")
    ]
    greedy = [status(attempt) == "correct" for attempt in admitted if attempt.greedy]
    samples = [attempt for attempt in admitted if not attempt.greedy]
    return _Marks(
        task=task,
        greedy=greedy[0] if greedy else None,
        samples=tuple(status(sample) == "correct" for sample in samples),
        answers=tuple(_vote(sample) for sample in samples),
    )


def _vote(sample: Trajectory) -> str | None:
    """What it answered. One that broke on our side, or said only blanks, has no vote."""
    if status(sample) == "failure" or not (sample.answer or "").strip():
        return None
    return sample.answer


_SCORES = ("greedy", "pass_at_1", "pass_at_k", "cons_at_k", "consistency")
_INTERVALS = ("greedy_interval", "interval", "pass_at_k_interval", "cons_at_k_interval",
              "consistency_interval")  # fmt: skip


def _row(marks: _Marks, k: int, equivalent: Equivalent) -> list[tuple[float, float]]:
    """(numerator, denominator) of each score for one task; (0, 0) where it has no say."""
    n, c = len(marks.samples), sum(marks.samples)
    at_k = pass_at_k(n, c, k)
    agreed = 0.0
    if n >= k:
        kind = marks.task.answers[0].kind
        agreed = majority(marks.answers[:k], marks.samples[:k], lambda a, b: equivalent(a, b, kind))
    return [
        (float(bool(marks.greedy)), float(marks.greedy is not None)),
        (c / n, 1.0) if n else (0.0, 0.0),
        (0.0, 0.0) if at_k is None else (at_k, 1.0),
        (float(agreed), float(n >= k)),
        (float(c), float(n)) if c else (0.0, 0.0),
    ]


def _rates(table_NS2: Floats, key: str) -> Rates:
    """The scores over some tasks. Point values are summed exactly, so order cannot show."""
    top_NS, bottom_NS = table_NS2[:, :, 0], table_NS2[:, :, 1]
    tops, bottoms = ([math.fsum(column) for column in part.T] for part in (top_NS, bottom_NS))
    points = [
        round(top / bottom, DIGITS) if bottom else None
        for top, bottom in zip(tops, bottoms, strict=True)
    ]
    spread = intervals(top_NS, bottom_NS, key)
    return Rates(
        n=len(table_NS2),
        **dict(zip(_SCORES, points, strict=True)),  # pyright: ignore[reportArgumentType]
        **dict(zip(_INTERVALS, spread, strict=True)),  # pyright: ignore[reportArgumentType]
        n_greedy=int(bottoms[0]),
        n_sampled=int(bottoms[1]),
        n_k=int(bottoms[2]),
    )


def _reading(marks: Sequence[_Marks], k: int, equivalent: Equivalent, seed: int) -> Reading:
    """One reading as a whole and in its parts; every part draws with a key of its own."""
    table_NS2 = np.array([_row(each, k, equivalent) for each in marks])

    def by(name: str, values: Sequence[int]) -> dict[str, Rates]:
        where = np.array(values)
        return {
            str(value): _rates(table_NS2[where == value], f"{seed}/{name}/{value}")
            for value in sorted(set(values))
        }

    return Reading(
        **dict(_rates(table_NS2, f"{seed}/all")),
        by_level=by("level", [each.task.level for each in marks]),
        by_hops=by("hops", [each.task.hops for each in marks]),
    )


def _by_task(
    trajectories: Iterable[Trajectory], tasks: Mapping[str, Task]
) -> dict[str, list[Trajectory]]:
    """Attempts by task, tasks by id and attempts by member: the order given cannot matter.

    Raises BadInput on what would make a score untrue: no tasks, an attempt at another task, the
    same attempt twice, attempts of several policies, a task that nobody attempted.
    """
    if not tasks:
        raise BadInput("there are no tasks to score: give at least one")
    found: dict[str, list[Trajectory]] = {task_id: [] for task_id in sorted(tasks)}
    for trajectory in trajectories:
        if trajectory.task_id not in found:
            raise BadInput(
                f"{trajectory.id} is an attempt at a task that is not in the set: score it with "
                "the tasks it was made for"
            )
        found[trajectory.task_id].append(trajectory)
    for attempts in found.values():
        attempts.sort(key=lambda attempt: (not attempt.greedy, attempt.member))
    _check(found)
    return found


def _check(found: Mapping[str, Sequence[Trajectory]]) -> None:
    every = [attempt for attempts in found.values() for attempt in attempts]
    policies = sorted({(attempt.policy, attempt.policy_version) for attempt in every})
    if len(policies) > 1:
        names = ", ".join(f"{name} version {version}" for name, version in policies)
        raise BadInput(f"the attempts are of several policies ({names}): score each apart")
    twice = [name for name, times in Counter(each.id for each in every).items() if times > 1]
    if twice:
        raise BadInput(f"{twice[0]} is there twice: give every attempt once")
    missing = [task_id for task_id, attempts in found.items() if not attempts]
    if missing:
        raise BadInput(
            f"{len(missing)} of {len(found)} tasks have no attempt, {missing[0]} first: run the "
            "evaluation to its end, or score the tasks it has"
        )


def _none_valid(attempts: Sequence[Trajectory], greedy: bool) -> bool:
    these = [status(attempt) for attempt in attempts if attempt.greedy == greedy]
    return bool(these) and not {"correct", "wrong"} & set(these)


def _counts(items: Iterable[str]) -> dict[str, int]:
    """How often each occurs, most frequent first, then by name."""
    return dict(sorted(Counter(items).items(), key=lambda item: (-item[1], item[0])))


def score(
    policy: str,
    trajectories: Iterable[Trajectory],
    tasks: Mapping[str, Task],
    k: int,
    equivalent: Equivalent,
    seen: Seen = answer_in,
    seed: int = 0,
) -> Score:
    """One policy's score over all of `tasks`, failures read both ways.

    `equivalent(a, b, kind)` says whether the grader holds two answers to be the same;
    `seen(task, text)` whether an observation holds the answer. cons@k votes among the first k
    samples by member; pass@k and cons@k stand on the tasks with at least k samples (`n_k`).
    Raises BadInput where the attempts cannot make a true score; see `_by_task`.
    """
    found = _by_task(trajectories, tasks)
    every = [attempt for attempts in found.values() for attempt in attempts]
    statuses = Counter(map(status, every))

    def read(how: How) -> Reading:
        marks = [_marks(tasks[task_id], attempts, how) for task_id, attempts in found.items()]
        return _reading(marks, k, equivalent, seed)

    return Score(
        **dict(read("left_out")),
        policy=policy,
        k=k,
        attempts=len(every),
        failures=statuses["failure"],
        unjudged=statuses["unjudged"],
        no_valid_greedy=sum(_none_valid(attempts, True) for attempts in found.values()),
        no_valid_sample=sum(_none_valid(attempts, False) for attempts in found.values()),
        failure_kinds=_counts(each.failure.kind for each in every if each.failure is not None),
        stops=_counts(each.stop for each in every),
        behaviour=behaviour(every, tasks, seen),
        as_wrong=read("as_wrong"),
    )


Values = dict[str, tuple[float | None, float | None]]


def _values(
    found: Mapping[str, Sequence[Trajectory]], tasks: Mapping[str, Task], how: How
) -> Values:
    """Each task's greedy mark and share of correct samples, None where it has none."""
    values: Values = {}
    for task_id, attempts in found.items():
        marks = _marks(tasks[task_id], attempts, how)
        share = sum(marks.samples) / len(marks.samples) if marks.samples else None
        values[task_id] = (None if marks.greedy is None else float(marks.greedy), share)
    return values


def _difference(ours: Values, theirs: Values, at: int, key: str) -> Difference | None:
    pairs = [
        (mine, other)
        for mine, other in ((ours[task][at], theirs[task][at]) for task in ours)
        if mine is not None and other is not None
    ]
    if not pairs:
        return None
    mine, other = zip(*pairs, strict=True)
    return Difference(
        n=len(pairs),
        value=round(math.fsum(a - b for a, b in pairs) / len(pairs), DIGITS),
        interval=paired_interval(mine, other, key),
        better=sum(a > b for a, b in pairs),
        worse=sum(a < b for a, b in pairs),
    )


def compare(
    baseline: tuple[str, Iterable[Trajectory]],
    policy: tuple[str, Iterable[Trajectory]],
    tasks: Mapping[str, Task],
    seed: int = 0,
) -> Comparison:
    """The policy's greedy and pass@1 minus the baseline's, paired by task, failures both ways.

    Left out is a task on which either has no valid attempt. Raises BadInput as `score` does.
    """
    theirs, ours = _by_task(baseline[1], tasks), _by_task(policy[1], tasks)

    def differences(how: How) -> Differences:
        pair = _values(ours, tasks, how), _values(theirs, tasks, how)
        return Differences(
            greedy=_difference(*pair, 0, f"{seed}/paired"),
            pass_at_1=_difference(*pair, 1, f"{seed}/paired"),
        )

    return Comparison(
        **dict(differences("left_out")),
        baseline=baseline[0],
        policy=policy[0],
        as_wrong=differences("as_wrong"),
    )
