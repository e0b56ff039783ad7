"""The funnel: validity, correctness, quality, in that order (WebDancer, section 3.2).

A trajectory is dropped at the first stage that finds a reason, and every drop has one. WebDancer's
quality stage asks a model about redundancy, alignment with the goal and soundness; ours checks by
rule what a rule can check, and a model judge can be added as one more check.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from webfarer.types import BadInput, Call, FunnelSettings, Task, Trajectory, Turn

Check = Callable[[Trajectory, Task], str | None]

_URL_ENDS = r"(?=[.,;:!?]*(?:[\s)\]>\"'|*]|$))"  # what may follow an address in a text
_SPACED = re.compile(r"[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # of words with spaces


@dataclass
class Funnel:
    """What came out: survivors, drops by stage and reason, and the tasks left for RL."""

    entered: int = 0
    kept: list[Trajectory] = field(default_factory=list)
    drops: dict[str, Counter[str]] = field(default_factory=dict)
    unsolved: list[Task] = field(default_factory=list)

    def reasons(self) -> dict[str, dict[str, int]]:
        """How many were dropped, by stage and reason."""
        return {stage: dict(sorted(counts.items())) for stage, counts in self.drops.items()}

    def counts(self) -> dict[str, object]:
        """The funnel as data: entered, after each stage, kept, reasons per drop."""
        left, after = self.entered, {}
        for stage in STAGES:
            left -= self.drops.get(stage, Counter()).total()
            after[stage] = left
        return {
            "entered": self.entered,
            "after": after,
            "kept": len(self.kept),
            "reasons": self.reasons(),
            "tasks_without_survivor": len(self.unsolved),
        }


STAGES = ("validity", "correctness", "quality", "surplus")


def funnel(
    trajectories: Iterable[Trajectory], tasks: Mapping[str, Task], settings: FunnelSettings
) -> Funnel:
    """Sends trajectories through the stages. Survivors come in the order of the tasks, a task's
    shortest first. Raises BadInput for a trajectory of a task that is not among them."""
    result = Funnel()
    by_task: dict[str, list[Trajectory]] = {id: [] for id in tasks}
    checks = _checks(settings)
    for trajectory in trajectories:
        result.entered += 1
        task = tasks.get(trajectory.task_id)
        if task is None:
            raise BadInput(f"{trajectory.id} is of no task that is given: give the tasks it is of")
        found = _first_reason(trajectory, task, checks)
        if found is None:
            by_task[task.id].append(trajectory)
        else:
            stage, reason = found
            result.drops.setdefault(stage, Counter())[reason] += 1
    for id, survivors in by_task.items():
        kept = sorted(survivors, key=lambda t: len(t.turns))[: settings.per_task]
        result.kept.extend(kept)
        surplus = len(survivors) - len(kept)
        if surplus:
            result.drops.setdefault("surplus", Counter())["more than wanted of a task"] += surplus
        if not survivors:
            result.unsolved.append(tasks[id])
    return result


def _first_reason(
    trajectory: Trajectory, task: Task, checks: Sequence[tuple[str, Check]]
) -> tuple[str, str] | None:
    for stage, check in checks:
        reason = check(trajectory, task)
        if reason is not None:
            return stage, reason
    return None


def _checks(settings: FunnelSettings) -> list[tuple[str, Check]]:
    return [
        ("validity", _failed),
        ("validity", _unfinished),
        ("validity", _malformed),
        ("validity", _toolless),
        ("correctness", _incorrect),
        ("quality", _repeats),
        ("quality", _invents),
        ("quality", lambda trajectory, task: _detours(trajectory, task, settings.detours)),
        ("quality", _ungrounded),
    ]


def _failed(trajectory: Trajectory, task: Task) -> str | None:
    return f"our failure: {trajectory.failure.kind}" if trajectory.failure else None


def _unfinished(trajectory: Trajectory, task: Task) -> str | None:
    return None if trajectory.stop == "answer" else f"no answer: {trajectory.stop}"


def _malformed(trajectory: Trajectory, task: Task) -> str | None:
    if any(turn.problem for turn in trajectory.turns):
        return "a turn that does not parse, or a call that no tool accepts"
    return None


def _toolless(trajectory: Trajectory, task: Task) -> str | None:
    return None if any(turn.call for turn in trajectory.turns) else "no tool call at all"


def _incorrect(trajectory: Trajectory, task: Task) -> str | None:
    if trajectory.verdict is None:
        return "not graded"
    status = trajectory.verdict.status
    return None if status == "correct" else f"answer {status}"


def _repeats(trajectory: Trajectory, task: Task) -> str | None:
    calls = [_key(call) for call in _calls(trajectory)]
    return "the same call twice" if len(calls) != len(set(calls)) else None


def _invents(trajectory: Trajectory, task: Task) -> str | None:
    """A visited address must have been given or shown before, whole."""
    shown = "\n".join((task.question, *task.start_urls))
    for turn in trajectory.turns:
        for url in _visited(turn.call):
            if not re.search(rf"(?<![\w=/]){re.escape(url)}{_URL_ENDS}", shown):
                return "visits an address that no observation showed"
        shown += "\n" + _said(turn)
    return None


def _detours(trajectory: Trajectory, task: Task, allowed: int) -> str | None:
    if not task.evidence:
        return None
    known = set(task.evidence) | set(task.start_urls)
    visits = [url for call in _calls(trajectory) for url in _visited(call)]
    if sum(url not in known for url in visits) > allowed:
        return "visits a page that is no evidence"
    searches = sum(call.name == "search" for call in _calls(trajectory))
    if searches > len(known) + allowed:
        return "searches more often than there is evidence to find"
    return None


def _ungrounded(trajectory: Trajectory, task: Task) -> str | None:
    """The answer must stand in an observation before it is given."""
    answer = (trajectory.answer or "").strip().casefold()
    before = r"(?<!\w)" if _SPACED.match(answer[:1]) else ""
    after = r"(?!\w)" if _SPACED.match(answer[-1:]) else ""
    whole = re.compile(before + re.escape(answer) + after)
    if any(whole.search(_said(turn).casefold()) for turn in trajectory.turns):
        return None
    return "the answer stands in no observation"


def _said(turn: Turn) -> str:
    """What the web said: a tool never repeats a call's words, but "ok" alone says that something
    was found."""
    observation = turn.observation
    return observation.text if observation and observation.kind == "ok" else ""


def _calls(trajectory: Trajectory) -> list[Call]:
    return [turn.call for turn in trajectory.turns if turn.call is not None]


def _visited(call: Call | None) -> list[str]:
    if call is None or call.name != "visit":
        return []
    url = call.arguments.get("url", [])
    return [each.strip() for each in ([url] if isinstance(url, str) else url)]


def _key(call: Call) -> str:
    return json.dumps([call.name, call.arguments], sort_keys=True)
