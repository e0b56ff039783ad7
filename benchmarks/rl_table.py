"""The tables of a sweep, from its finished cells.

Intervals are 95% t intervals over seeds (Student 1908); differences and ratios are paired by seed,
since cells of one seed have the same tasks and random numbers. Where a quality is first reached is
read off the mean curve of the seeds, straight lines between its points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rl_cell import Cost, Result, Variant

# The 97.5% point of Student's t with 1, 2, ... degrees of freedom; the last serves for more.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)

Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Line:
    """A line of a table: a variant's finished cells, by seed. A variant with a pre-filter has two:
    one that is charged with it, and one that shares what somebody else has paid for."""

    name: str
    variant: Variant
    results: tuple[Result, ...]
    charged: bool = False

    @property
    def among(self) -> tuple[str, float]:
        """Lines are compared with those of the same start and tools."""
        return self.variant.start, self.variant.tool_s

    def total(self, result: Result) -> Cost:
        """What the cell took in all."""
        return self.until(result, len(result.steps))

    def until(self, result: Result, step: int) -> Cost:
        """What it took up to the end of a step."""
        parts = [*result.steps[:step], *([result.prefilter] if self.charged else [])]
        return Cost(
            attempts=sum(part.attempts for part in parts),
            tokens=sum(part.tokens for part in parts),
            seconds=sum(part.seconds for part in parts),
        )


def lines_of(variants: Iterable[Variant], results: Sequence[Result]) -> list[Line]:
    """The lines for which there is a finished cell."""
    found = []
    for variant in variants:
        cells = sorted(
            (one for one in results if one.variant == variant.name), key=lambda one: one.seed
        )
        if cells and variant.prefiltered:
            found.append(Line(f"{variant.name}, pre-filter shared", variant, tuple(cells)))
            found.append(Line(f"{variant.name}, pre-filter charged", variant, tuple(cells), True))
        elif cells:
            found.append(Line(variant.name, variant, tuple(cells)))
    return found


def spread(values: Sequence[float]) -> float:
    """Half the width of the 95% t interval of the mean; NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    return _T[min(len(values) - 2, len(_T) - 1)] * stdev(values) / math.sqrt(len(values))


def quality(lines: Sequence[Line], against: str) -> Rows:
    """Held-out scores at the end, and their differences to the variant `against`."""
    lines = [line for line in lines if not line.charged]
    scores: list[tuple[str, Callable[[Result], float | None]]] = [
        ("greedy", lambda one: one.score.greedy),
        ("pass@1", lambda one: one.score.pass_at_1),
        ("pass@k", lambda one: one.score.pass_at_k),
        ("cons@k", lambda one: one.score.cons_at_k),
        ("consistency", lambda one: one.score.consistency),
    ]
    header = ["held-out, %", "seeds", *(name for name, _ in scores)]
    header += [f"{name} minus {against}" for name, _ in scores[:2]]
    rows: Rows = [tuple(header)]
    base = {one.seed: one for line in lines if line.variant.name == against for one in line.results}
    for line in lines:
        cells = [_percent(map(value, line.results)) for _, value in scores]
        pairs = [(one, base[one.seed]) for one in line.results if one.seed in base]
        differences = [
            "" if line.variant.name == against
            else _percent([_minus(value(one), value(other)) for one, other in pairs], sign="+")
            for _, value in scores[:2]
        ]  # fmt: skip
        name = line.variant.name
        rows.append((name, str(len(line.results)), *cells, *differences))
    return rows


def costs(lines: Sequence[Line], against: str) -> Rows:
    """What training took, a step and in all; ratios are paired by seed. A pre-filter is part of
    what it took in all, and of no step."""
    rows: Rows = [("training took", "attempts", "learnt from", "steps filled", "M tokens",
                   "rollout s", "update s", "s a step", f"/ {against}", "pre-filter s", "in all s",
                   f"in all / {against}")]  # fmt: skip
    for line in _trained(lines):
        totals = [line.total(one) for one in line.results]
        reference = next(iter(_references(lines, line, against)), None)
        rows.append((
            line.name,
            f"{fmean(each.attempts for each in totals):,.0f}",
            f"{100 * fmean(one.used for one in line.results):.0f}%",
            _share([one.full for one in line.results]),
            f"{fmean(each.tokens for each in totals) / 1e6:.2f}",
            f"{fmean(one.rollout_s for one in line.results):.0f}",
            f"{fmean(one.update_s for one in line.results):.0f}",
            _number([_a_step(line, one) for one in line.results], ".2f"),
            _ratios(line, reference, _a_step),
            f"{fmean(one.prefilter.seconds for one in line.results):.0f}" if line.charged else "–",
            f"{fmean(each.seconds for each in totals):.0f}",
            _ratios(line, reference, lambda line, one: line.total(one).seconds),
        ))  # fmt: skip
    return rows


def _a_step(line: Line, one: Result) -> float:
    return sum(step.seconds for step in one.steps) / max(1, len(one.steps))


def curves(lines: Sequence[Line]) -> Rows:
    """The mean curve of each variant."""
    lines = [line for line in _trained(lines) if line.results[0].curve and not line.charged]
    steps = sorted({point.step for line in lines for one in line.results for point in one.curve})
    rows: Rows = [("held-out greedy, %, after step", *map(str, steps))]
    for line in lines:
        mean = dict(_mean_curve(line.results))
        cells = (f"{100 * mean[step]:.1f}" if step in mean else "" for step in steps)
        rows.append((line.variant.name, *cells))
    return rows


def equal(lines: Sequence[Line], against: str) -> Rows:
    """What it takes to reach equal quality: for each line, where the lower of its curve and that of
    `against` ends. In brackets the least and the most of the seeds, each on a curve of its own.
    The ratios say how many times the seconds of `against` the line takes to that quality."""
    lines = [line for line in _trained(lines) if line.results[0].curve]
    names = ("", " charged") if any(each.charged for each in lines) else ("",)
    rows: Rows = [("until equal quality", "quality, %", "steps", "attempts", "M tokens", "seconds",
                   *(f"seconds / {against}{name}" for name in names))]  # fmt: skip
    for line in lines:
        references = _references(lines, line, against)
        target = min(_mean_curve(each.results)[-1][1] for each in (line, *references))
        ratios = [_times(line, reference, target) for reference in references]
        ratios += [""] * (len(names) - len(ratios))
        rows.append((line.name, f"{100 * target:.1f}", *_until(line, target), *ratios))
    return rows


def _until(line: Line, target: float) -> tuple[str, ...]:
    step = reached(_mean_curve(line.results), target)
    assert step is not None, "a curve reaches what is not above its end"
    each = [reached(_mean_curve([one]), target) for one in line.results]
    seconds = [
        _at(line, [one], own).seconds
        for one, own in zip(line.results, each, strict=True)
        if own is not None
    ]
    took = _at(line, line.results, step)
    missed = f", {len(each) - len(seconds)} never" if len(seconds) < len(each) else ""
    several = seconds and len(each) > 1
    ends = f" [{min(seconds):.0f} to {max(seconds):.0f}{missed}]" if several else ""
    return (f"{step:.1f}", f"{took.attempts:,}", f"{took.tokens / 1e6:.2f}",
            f"{took.seconds:.0f}{ends}")  # fmt: skip


def _times(line: Line, reference: Line, target: float) -> str:
    """The line's seconds until the target over the reference's."""
    took = [
        _at(one, one.results, step).seconds
        for one in (line, reference)
        if (step := reached(_mean_curve(one.results), target)) is not None
    ]
    return f"{took[0] / took[1]:.2f}" if line is not reference and took[1] else ""


def reached(curve: Sequence[tuple[int, float]], target: float) -> float | None:
    """The step at which the curve first is at the target, straight lines between its points; None
    where it never is."""
    if curve and curve[0][1] >= target:
        return float(curve[0][0])
    for (left, low), (right, high) in pairwise(curve):
        if high >= target:
            return left + (right - left) * (target - low) / (high - low)
    return None


def _at(line: Line, results: Sequence[Result], step: float) -> Cost:
    """The mean cost up to a step, which may lie within one."""
    whole = math.floor(step)
    before = [line.until(one, whole) for one in results]
    after = [line.until(one, whole + 1) for one in results]

    def between(value: Callable[[Cost], float]) -> float:
        low, high = fmean(map(value, before)), fmean(map(value, after))
        return low + (high - low) * (step - whole)

    return Cost(
        attempts=round(between(lambda cost: cost.attempts)),
        tokens=round(between(lambda cost: cost.tokens)),
        seconds=between(lambda cost: cost.seconds),
    )


def _mean_curve(results: Sequence[Result]) -> list[tuple[int, float]]:
    """(step, mean greedy), at the steps that every seed has."""
    each = [{point.step: point.greedy for point in one.curve} for one in results]
    shared = sorted(set.intersection(*map(set, each)))
    return [(step, fmean(curve[step] for curve in each)) for step in shared]


def _trained(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.variant.settings]


def _references(lines: Sequence[Line], line: Line, against: str) -> list[Line]:
    """The lines that this one is compared with: of the variant `against`, among its own kind; of
    two, the one that is not charged with the pre-filter comes first."""
    peers = [each for each in _trained(lines) if each.among == line.among]
    return [each for each in peers if each.variant.name.partition(",")[0] == against]


def _ratios(line: Line, reference: Line | None, value: Callable[[Line, Result], float]) -> str:
    if reference is None or line is reference:
        return ""
    base = {one.seed: value(reference, one) for one in reference.results}
    return _number([value(line, o) / base[o.seed] for o in line.results if o.seed in base], ".2f")


def _minus(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours - theirs


def _percent(values: Iterable[float | None], sign: str = "") -> str:
    """The mean of those that are there."""
    return _number([100 * value for value in values if value is not None], f"{sign}.1f")


def _share(values: Sequence[float | None]) -> str:
    """The mean; a dash where one is not known."""
    known = [value for value in values if value is not None]
    return f"{100 * fmean(known):.0f}%" if known and len(known) == len(values) else "–"


def _number(values: Sequence[float], form: str) -> str:
    """The mean, ± half the interval where there are two values or more."""
    if not values:
        return ""
    half = spread(values)
    around = "" if math.isnan(half) else f" ± {half:{form.removeprefix('+')}}"
    return f"{fmean(values):{form}}{around}"


def show(tables: Iterable[Rows], title: str, markdown: bool) -> None:
    """Prints the tables that have a row, for a terminal or for a README."""
    print(f"\n{title}\n")
    for rows in tables:
        if len(rows) < 2:
            continue
        if markdown:
            print(_markdown(rows), end="\n\n")
        else:
            console = Console()
            Console(width=console.width if console.is_terminal else 180).print(_rich(rows))


def _rich(rows: Rows) -> Table:
    table = Table(header_style="bold")
    for place, name in enumerate(rows[0]):
        table.add_column(Text(name), justify="left" if place == 0 else "right")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def _markdown(rows: Rows) -> str:
    rule = ("---", *["---:"] * (len(rows[0]) - 1))
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))
