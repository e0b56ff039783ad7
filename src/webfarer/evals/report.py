"""The report of a run: built from records, shown as rows, written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from webfarer.evals.behaviour import Seen, answer_in
from webfarer.evals.metrics import Equivalent, compare, score
from webfarer.store.atomic import write_text
from webfarer.types import BadInput, Task, Trajectory
from webfarer.types.report import (
    FunnelStage,
    Interval,
    LearningPoint,
    Report,
    Score,
    TrainingPoint,
    check_manifest,
)


def build_report(
    attempts: Mapping[str, Sequence[Trajectory]],
    tasks: Mapping[str, Task],
    *,
    k: int,
    equivalent: Equivalent,
    manifest: Mapping[str, Any],
    seen: Seen = answer_in,
    seed: int = 0,
    funnel: Sequence[FunnelStage] = (),
    training: Sequence[TrainingPoint] = (),
    learning: Sequence[LearningPoint] = (),
    seconds: Mapping[str, float] | None = None,
) -> Report:
    """Scores every policy of `attempts`; each is compared with every one before it.

    `k` and the number of failures go into the manifest here, so that it cannot disagree with the
    scores. Raises BadInput on an incomplete manifest or attempts that make no true score.
    """
    if not attempts:
        raise BadInput("there is no policy to report on: evaluate at least one")
    check_manifest({**manifest, "k": k, "failures": 0})
    scores = {
        name: score(name, trajectories, tasks, k, equivalent, seen, seed)
        for name, trajectories in attempts.items()
    }
    pairs = combinations(attempts.items(), 2)
    return Report(
        policies=scores,
        comparisons=tuple(compare(before, after, tasks, seed) for before, after in pairs),
        funnel=tuple(funnel),
        training=tuple(training),
        learning=tuple(learning),
        seconds=dict(seconds or {}),
        manifest={
            **manifest,
            "k": k,
            "failures": {name: each.failures for name, each in scores.items()},
        },
    )


def to_json(report: Report) -> str:
    """The report as JSON, two spaces an indent, a newline at the end."""
    return report.model_dump_json(indent=2) + "\n"


def write(report: Report, path: Path) -> None:
    """Writes the report aside and renames it: there is a whole one or none."""
    write_text(path, to_json(report))


def read(path: Path) -> Report:
    """Reads what `write` wrote. Raises BadInput where it is missing or not a report."""
    try:
        return Report.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{path} is not a report ({reason}): run the evaluation again") from error


def percent(share: float | None) -> str:
    """A share for people: "61.3%", or a dash where there is none."""
    return "–" if share is None else f"{100 * share:.1f}%"


def span(interval: Interval | None) -> str:
    """An interval of shares in percent: "57.4–65.2", or nothing where there is none."""
    if interval is None:
        return ""
    return "–".join(f"{100 * end:.1f}" for end in interval)


def _with(share: float | None, interval: Interval | None) -> str:
    return f"{percent(share)} [{span(interval)}]" if interval else percent(share)


def _cells(each: Score) -> list[tuple[str, str]]:
    """One policy's column: what is measured, and how it is shown."""
    wrong, acts = each.as_wrong, each.behaviour
    return [
        ("tasks", f"{each.n:,}"),
        ("greedy", _with(each.greedy, each.greedy_interval)),
        ("pass@1", _with(each.pass_at_1, each.interval)),
        *_at_k(each),
        ("consistency", _with(each.consistency, each.consistency_interval)),
        *(
            (f"greedy, level {level}", percent(part.greedy))
            for level, part in each.by_level.items()
        ),
        *((f"greedy, hops {hops}", percent(part.greedy)) for hops, part in each.by_hops.items()),
        ("failures / unjudged", f"{each.failures} / {each.unjudged}"),
        ("greedy, these as wrong", _with(wrong.greedy, wrong.greedy_interval)),
        ("pass@1, these as wrong", _with(wrong.pass_at_1, wrong.interval)),
        ("turns", f"{acts.turns:.1f}"),
        ("tool calls", f"{acts.calls:,}"),
        ("well formed", percent(acts.format_share)),
        ("calls to unknown tools", percent(acts.unknown_tool_share)),
        ("calls after the answer was seen", percent(acts.after_seen_share)),
    ]


def _at_k(each: Score) -> list[tuple[str, str]]:
    """pass@k and cons@k; with k = 1 both are pass@1 and need no row."""
    if each.k == 1:
        return []
    return [
        (f"pass@{each.k}", _with(each.pass_at_k, each.pass_at_k_interval)),
        (f"cons@{each.k}", _with(each.cons_at_k, each.cons_at_k_interval)),
    ]


def table(report: Report) -> list[tuple[str, ...]]:
    """Rows of text for a terminal: a header, then one row a measure and one column a policy."""
    columns = [_cells(each) for each in report.policies.values()]
    rows = [(cells[0][0], *(text for _, text in cells)) for cells in zip(*columns, strict=True)]
    return [("", *report.policies), *rows, *_gains(report)]


def _gains(report: Report) -> list[tuple[str, ...]]:
    """A row a baseline and measure: how far the policies that were compared with it are above."""
    found: dict[str, dict[str, str]] = {}
    for both in report.comparisons:
        for measure, difference in (("greedy", both.greedy), ("pass@1", both.pass_at_1)):
            if difference:
                low, high = (100 * end for end in difference.interval)
                gain = f"{100 * difference.value:+.1f} [{low:+.1f} to {high:+.1f}]"
                found.setdefault(f"{measure}, less {both.baseline}", {})[both.policy] = gain
    return [
        (name, *(gains.get(policy, "") for policy in report.policies))
        for name, gains in found.items()
    ]
