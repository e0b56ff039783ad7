"""The report page: one HTML file that opens offline.

Page text is untrusted. It goes through the template's autoescape, and a content policy in the page
lets nothing be loaded and no script run but the page's own, known by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from webfarer.evals.report import percent, span
from webfarer.types import ImagePart, Task, Trajectory
from webfarer.types.report import (
    Comparison,
    Difference,
    Interval,
    Rates,
    Report,
    Score,
    Tokens,
)
from webfarer.view import chart

# Filters attempts by policy and verdict; without it all are shown.
SCRIPT = """
const form = document.querySelector('form.filter');
if (form) {
  form.hidden = false;
  form.addEventListener('change', () => {
    const { policy, verdict } = Object.fromEntries(new FormData(form));
    let shown = 0;
    for (const one of document.querySelectorAll('#attempts details.attempt')) {
      one.hidden = (policy && one.dataset.policy !== policy)
        || (verdict && one.dataset.verdict !== verdict);
      shown += !one.hidden;
    }
    form.querySelector('output').textContent = shown + ' shown';
  });
}
"""

_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MEASURES = ("greedy", "pass_at_1", "pass_at_k", "cons_at_k", "consistency")


def render(
    report: Report,
    samples: Sequence[tuple[Task, Trajectory]] = (),
    change: Sequence[tuple[Task, Trajectory]] = (),
) -> str:
    """The page as text, to be written as UTF-8; the same for the same report and samples.

    `samples` are shown in the order given, each to be read turn by turn; `change` is one task's
    attempts before and after reinforcement learning. Characters that a page
    cannot carry (control characters, lone surrogates) become U+FFFD.
    """
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    page = _template().render(
        title=_title(report),
        summary=_summary(report),
        idle=_idle(report),
        report=report,
        scores=list(report.policies.values()),
        tones={name: min(at, 3) for at, name in enumerate(report.policies)},
        plots=_plots(report),
        axis=chart.percent_axis(),
        groups=_groups(report),
        differences=_differences(report),
        curve=chart.training(report.training),
        learning=chart.learning(report.learning),
        change=_samples(change, report),
        behaviour=_behaviour(list(report.policies.values())),
        samples=_samples(samples, report),
        total=sum(report.seconds.values()),
        slowest=max(report.seconds.values(), default=0.0) or 1.0,
        script=Markup(SCRIPT),  # a constant of this file
        script_hash=digest,
    )
    return _UNPRINTABLE.sub("\ufffd", page)


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": percent, "span": span, "clock": clock, "picture": _picture,
        "pretty": _pretty, "compact": _compact, "points": points,
    }  # fmt: skip
    source = files("webfarer.view").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)


def clock(seconds: float) -> str:
    """Seconds for people: "8.4 s", "4 min 22 s", "1 h 02 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _picture(part: ImagePart) -> str | None:
    """A data URL for an image, or None where it is not one that a page may show."""
    if part.media_type not in _IMAGES or not _BASE64.fullmatch(part.data):
        return None
    return f"data:{part.media_type};base64,{part.data}"


def _title(report: Report) -> str:
    recipe = report.manifest["recipe"]
    return str(recipe.get("name", "run")) if isinstance(recipe, dict) else str(recipe)


def _main(rates: Rates) -> tuple[str, float | None, Interval | None]:
    """The score to lead with: greedy where there is one, else pass@1."""
    if rates.greedy is not None:
        return "greedy", rates.greedy, rates.greedy_interval
    return "pass@1", rates.pass_at_1, rates.interval


def _summary(report: Report) -> str:
    """The run in a few plain sentences."""
    said = ", ".join(_sentence(each) for each in report.policies.values())
    split = report.manifest["task_set"]
    name = split.get("split", "") if isinstance(split, dict) else ""
    n = next(iter(report.policies.values())).n
    return f"On {n:,} {name} tasks {said}. {_gain(report)} {_lost(report)}".strip()


def _sentence(score: Score) -> str:
    measure, value, interval = _main(score)
    if value is None:
        return f"the {score.policy} policy has no attempt that could be scored"
    how = "" if measure == "greedy" else " on average"
    within = f" (95% interval {span(interval).replace('–', ' to ')})" if interval else ""
    return f"the {score.policy} policy answers {percent(value)} correctly{how}{within}"


def _gain(report: Report) -> str:
    """The policy reported last against each before it, the latest of them first."""
    last = list(report.policies)[-1]
    mine = [both for both in report.comparisons if both.policy == last]
    said = "; ".join(filter(None, map(_gained, reversed(mine))))
    return f"Paired by task, {said}." if said else ""


def _gained(both: Comparison) -> str:
    measured = (("greedily", both.greedy), ("in pass@1", both.pass_at_1))
    said = " and ".join(_points(how, difference) for how, difference in measured if difference)
    return f"{both.policy} less {both.baseline} is {said}" if said else ""


def _points(how: str, difference: Difference) -> str:
    low, high = difference.interval
    sure = ", which holds zero" if low <= 0 <= high else ""
    return f"{points(difference.value)} points {how} ({points(low)} to {points(high)}{sure})"


def _differences(report: Report) -> list[tuple[str, str, Difference]]:
    """(policies, measure, difference) of every comparison."""
    return [
        (f"{both.policy} less {both.baseline}", measure, difference)
        for both in report.comparisons
        for measure, difference in (("greedy", both.greedy), ("pass@1", both.pass_at_1))
        if difference
    ]


def points(share: float) -> str:
    """A difference of shares in points, signed, with a true minus."""
    return f"{100 * share:+.1f}".replace("-", "−")


def _lost(report: Report) -> str:
    failures = sum(score.failures for score in report.policies.values())
    unjudged = sum(score.unjudged for score in report.policies.values())
    if not failures and not unjudged:
        return "No attempt failed on our side, and every one was judged."
    return (
        f"{failures:,} attempts failed on our side and {unjudged:,} could not be judged: these are "
        "left out of the scores, and counted as wrong beside them."
    )


def _idle(report: Report) -> list[Score]:
    """The policies that acted and called no tool: their scores are not those of agents."""
    scores = report.policies.values()
    return [score for score in scores if score.behaviour.attempts and not score.behaviour.calls]


def _label(measure: str, k: int) -> str:
    return measure.replace("_at_1", "@1").replace("_at_k", f"@{k}")


def _interval(rates: Rates, measure: str) -> Interval | None:
    return rates.interval if measure == "pass_at_1" else getattr(rates, f"{measure}_interval")


def _parts(report: Report) -> list[tuple[str, str, str]]:
    """(title, field, key) of every level and number of hops that any policy has."""
    found = []
    for field, name in (("by_level", "Level {}"), ("by_hops", "{} hops")):
        keys = {key for score in report.policies.values() for key in getattr(score, field)}
        for key in sorted(keys, key=lambda key: (len(key), key)):
            found.append(
                ("1 hop" if name == "{} hops" and key == "1" else name.format(key), field, key)
            )
    return found


@dataclass(frozen=True, slots=True)
class _Plot:
    title: str
    strip: Markup
    first: bool


def _plots(report: Report) -> list[_Plot]:
    """A strip a score over all tasks, then one a part for the score to lead with."""
    scores = list(report.policies.values())
    plots = []
    for measure in _MEASURES:
        marks = _marks([(score.policy, score) for score in scores], measure)
        if marks:
            plots.append(_Plot(_label(measure, scores[0].k), chart.intervals(marks), False))
    measure = "greedy" if any(score.greedy is not None for score in scores) else "pass_at_1"
    for at, (title, field, key) in enumerate(_parts(report)):
        rates = [(s.policy, getattr(s, field)[key]) for s in scores if key in getattr(s, field)]
        marks = _marks(rates, measure)
        if marks:
            name = f"{title}, {_label(measure, scores[0].k)}"
            plots.append(_Plot(name, chart.intervals(marks), at == 0))
    return plots


def _marks(named: Sequence[tuple[str, Rates]], measure: str) -> list[chart.Mark]:
    return [
        chart.Mark(name, value, _interval(rates, measure), min(tone, 3))
        for tone, (name, rates) in enumerate(named)
        if (value := getattr(rates, measure)) is not None
    ]


Cell = tuple[float | None, Interval | None]


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of the score table: a label, then a pair of readings for every policy."""

    title: str
    rows: list[tuple[str, list[Cell]]]


def _groups(report: Report) -> list[_Group]:
    scores = list(report.policies.values())
    whole = [(score, score.as_wrong) for score in scores]
    groups = [_Group(f"All {scores[0].n:,} tasks", _rows(whole, _MEASURES, scores[0].k))]
    for title, field, key in _parts(report):
        pairs = [
            (
                getattr(s, field).get(key, Rates(n=0)),
                getattr(s.as_wrong, field).get(key, Rates(n=0)),
            )
            for s in scores
        ]
        rows = _rows(pairs, ("greedy", "pass_at_1"), scores[0].k)
        groups.append(_Group(f"{title} · {max(left.n for left, _ in pairs):,} tasks", rows))
    return groups


def _rows(
    pairs: Sequence[tuple[Rates, Rates]], measures: Iterable[str], k: int
) -> list[tuple[str, list[Cell]]]:
    rows = []
    for measure in measures:
        cells = [(getattr(r, measure), _interval(r, measure)) for pair in pairs for r in pair]
        if any(value is not None for value, _ in cells):
            rows.append((_label(measure, k), cells))
    return rows


def _of(count: int, share: float | None) -> str:
    return f"{count:,}" if share is None else f"{count:,} ({percent(share)})"


def _behaviour(scores: Sequence[Score]) -> list[tuple[str, list[str]]]:
    """Rows of the behaviour table; stop reasons and failures follow, as many as there are."""
    acts = [score.behaviour for score in scores]
    rows: list[tuple[str, list[str]]] = [
        ("Attempts, greedy and sampled", [f"{score.attempts:,}" for score in scores]),
        ("Turns an attempt", [f"{act.turns:.1f}" for act in acts]),
    ]
    for name in Tokens.model_fields:
        tokens = [f"{getattr(act.tokens, name):,.0f}" for act in acts]
        rows.append((f"{name.capitalize()} tokens an attempt", tokens))
    rows += [
        ("Well formed from first turn to last", [percent(act.format_share) for act in acts]),
        ("Turns that could not be read", [percent(act.malformed_share) for act in acts]),
        ("Calls", [f"{act.calls:,}" for act in acts]),
        ("Calls to unknown tools", [_of(a.unknown_tool, a.unknown_tool_share) for a in acts]),
        ("Attempts that saw the answer", [_of(a.seen, _share(a.seen, a.attempts)) for a in acts]),
        ("Calls after the answer was seen", [_of(a.after_seen, a.after_seen_share) for a in acts]),
    ]
    for field, title in (("stops", "Stopped: "), ("failure_kinds", "Failed: ")):
        names = dict.fromkeys(name for score in scores for name in getattr(score, field))
        for name in names:
            counts = [getattr(score, field).get(name, 0) for score in scores]
            rows.append((title + name.replace("_", " "), [f"{count:,}" for count in counts]))
    return rows


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class _Sample:
    task: Task
    attempt: Trajectory
    verdict: str
    open: bool


def _samples(samples: Sequence[tuple[Task, Trajectory]], report: Report) -> list[_Sample]:
    """The first correct attempt of the policy that is reported last stands open."""
    verdicts = [_verdict(attempt) for _, attempt in samples]
    last = list(report.policies)[-1]
    shown = next(
        (at for at, (_, a) in enumerate(samples) if verdicts[at] == "correct" and a.policy == last),
        None,
    )
    return [
        _Sample(task, attempt, verdicts[at], at == shown)
        for at, (task, attempt) in enumerate(samples)
    ]


def _verdict(attempt: Trajectory) -> str:
    if attempt.failure is not None or attempt.stop == "failure":
        return "failure"
    return attempt.verdict.status if attempt.verdict else "unjudged"
