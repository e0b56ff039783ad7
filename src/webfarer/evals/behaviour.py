"""How a policy acted: calls, tokens, format, and whether it went on after it had the answer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from webfarer.grade.reward import format_ok
from webfarer.types import Task, Trajectory, Turn
from webfarer.types.report import Behaviour, Tokens

Seen = Callable[[Task, str], bool]

_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_BETWEEN = re.compile(r"[\W_]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # scripts without spaces


def normal(text: str) -> str:
    """Text for containment: compatibility forms, case and punctuation put aside; 1,204 is 1204."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _BETWEEN.sub(" ", _GROUPED.sub("", folded)).strip()


def answer_in(task: Task, text: str) -> bool:
    """Whether every answer of the task, or an alias of it, stands in the text as whole words."""
    hay = f" {normal(text)} "
    return all(
        any(_holds(hay, normal(name)) for name in (answer.text, *answer.aliases))
        for answer in task.answers
    )


def _holds(hay: str, needle: str) -> bool:
    if not needle:
        return False
    return (needle if _UNSPACED.search(needle) else f" {needle} ") in hay


@dataclass(frozen=True, slots=True)
class _Tally:
    calls: int
    unknown: int
    unread: int
    seen: bool
    after_seen: int


def _is_unknown(turn: Turn) -> bool:
    return turn.observation is not None and turn.observation.kind == "unknown_tool"


def _tally(trajectory: Trajectory, task: Task, seen: Seen) -> _Tally:
    """What came of each turn. Several answers may be seen in several observations."""
    wanted = [task.model_copy(update={"answers": (answer,)}) for answer in task.answers]
    calls = after = 0
    for turn in trajectory.turns:
        if turn.call is not None:
            calls += 1
            after += not wanted
        observation = turn.observation
        if wanted and observation is not None and observation.kind == "ok":
            wanted = [part for part in wanted if not seen(part, observation.text)]
    return _Tally(
        calls=calls,
        unknown=sum(map(_is_unknown, trajectory.turns)),
        unread=sum(turn.call is None and turn.answer is None for turn in trajectory.turns),
        seen=not wanted,
        after_seen=after,
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _tokens(trajectories: Sequence[Trajectory]) -> Tokens:
    usages = [turn.usage for trajectory in trajectories for turn in trajectory.turns]
    each = {
        name: round(
            sum(getattr(usage, f"{name}_tokens") for usage in usages) / len(trajectories), 6
        )
        for name in Tokens.model_fields
    }
    return Tokens(**each)


def behaviour(
    trajectories: Sequence[Trajectory], tasks: Mapping[str, Task], seen: Seen = answer_in
) -> Behaviour:
    """Sums and means over attempts that did not fail on our side; all zero where there are none.

    A call counts as made after the answer was seen where an earlier turn's observation, of kind
    "ok", held it; the answering turn itself never counts. `seen` is asked about one answer at a
    time.
    """
    valid = [trajectory for trajectory in trajectories if trajectory.failure is None]
    if not valid:
        return Behaviour()
    tallies = [_tally(trajectory, tasks[trajectory.task_id], seen) for trajectory in valid]
    calls, turns = sum(tally.calls for tally in tallies), sum(len(each.turns) for each in valid)
    unknown, after = sum(t.unknown for t in tallies), sum(t.after_seen for t in tallies)
    return Behaviour(
        attempts=len(valid),
        turns=round(turns / len(valid), 6),
        tokens=_tokens(valid),
        calls=calls,
        unknown_tool=unknown,
        unknown_tool_share=_share(unknown, calls),
        seen=sum(tally.seen for tally in tallies),
        after_seen=after,
        after_seen_share=_share(after, calls),
        format_share=_share(sum(map(format_ok, valid)), len(valid)),
        malformed_share=_share(sum(tally.unread for tally in tallies), turns),
    )
