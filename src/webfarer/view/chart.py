"""Charts as inline SVG that keep their type size at any width.

Horizontal places are percentages and lines do not scale their stroke, so that a chart stretches
with the page while its text stays as it is. Colours are the page's own, by class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from webfarer.types.report import Interval, LearningPoint, TrainingPoint

HEIGHT = 240  # of the line chart, pixels
_ROW = 18  # of an interval plot, pixels a policy
_AROUND = 4  # steps on either side that a smoothed share is the mean of
_MOST_POINTS = 800  # more cannot be told apart on a page


@dataclass(frozen=True, slots=True)
class Mark:
    """A value and its interval, both shares; `tone` numbers its policy."""

    name: str
    value: float
    interval: Interval | None
    tone: int


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that cover low to high.

    A range without width, or that is not finite, is taken as [0, 1] above `low`, or above 0.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if high <= low:
        high = low + 1.0
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{at * step:.10g}") for at in range(first, last + 1)]


def intervals(marks: Sequence[Mark]) -> Markup:
    """One strip from 0% to 100%: a dot a mark, a line for its interval, its value beside it."""
    height = _ROW * len(marks) + 6
    grid = [
        Markup('<line class="grid" x1="{0}%" x2="{0}%" y1="0" y2="{1}"/>').format(at, height)
        for at in (0, 25, 50, 75, 100)
    ]
    rows = [_mark(mark, 3 + _ROW * (place + 0.5)) for place, mark in enumerate(marks)]
    said = "; ".join(f"{mark.name} {100 * mark.value:.1f}%" for mark in marks)
    return Markup('<svg class="strip" role="img" aria-label="{}" height="{}">{}{}</svg>').format(
        said, height, Markup("").join(grid), Markup("").join(rows)
    )


def _mark(mark: Mark, y: float) -> Markup:
    at = 100 * mark.value
    low, high = (100 * end for end in mark.interval or (mark.value, mark.value))
    place, anchor, shift = (low, "end", -10) if high > 88 else (high, "start", 10)
    return Markup(
        '<g class="tone{tone}"><line class="whisker" x1="{low:.2f}%" x2="{high:.2f}%" y1="{y}" '
        'y2="{y}"/><circle cx="{at:.2f}%" cy="{y}" r="4.5"/><text x="{place:.2f}%" y="{y}" '
        'dx="{shift}" dy="0.34em" text-anchor="{anchor}">{at:.1f}</text></g>'
    ).format(
        tone=mark.tone, low=low, high=high, y=y, at=at, place=place, shift=shift, anchor=anchor
    )


def percent_axis() -> Markup:
    """The axis that goes under strips of `intervals`."""
    labels = [
        Markup('<text x="{0}%" y="14" text-anchor="middle">{0}%</text>').format(at)
        for at in (0, 25, 50, 75, 100)
    ]
    return Markup('<svg class="strip axis" aria-hidden="true" height="18">{}</svg>').format(
        Markup("").join(labels)
    )


def training(points: Sequence[TrainingPoint]) -> Markup:
    """Loss over steps, with the validation loss and the learning rate where they were logged.

    The loss axis starts at 0; the learning rate is drawn against its own greatest value. Empty
    where no point has a finite loss.
    """
    shown = [point for point in _thin(points) if math.isfinite(point.loss)]
    if not shown:
        return Markup("")
    valid = [(p.step, p.valid_loss) for p in points if _finite(p.valid_loss)]  # few: none thinned
    top = 1.04 * max([p.loss for p in shown] + [loss or 0.0 for _, loss in valid]) or 1.0
    frame = _Frame(shown[0].step, max(shown[-1].step, shown[0].step + 1), top)
    x_ticks = [at for at in ticks(frame.left, frame.right) if frame.left <= at <= frame.right]
    y_ticks = [at for at in ticks(0.0, top) if at <= top]
    top_rate = max((point.lr or 0.0 for point in shown), default=0.0)
    rate = [(p.step, p.lr / top_rate * frame.top) for p in shown if p.lr is not None and top_rate]
    lines = [
        frame.line("rate", rate),
        frame.line("loss", [(point.step, point.loss) for point in shown]),
        frame.line("valid", valid),
    ]
    last = shown[-1]
    return Markup(
        '<svg class="curve" role="img" aria-label="training loss over steps, {loss:.3f} at step '
        '{step}" height="{height}">{axes}<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" '
        'width="100%" height="{height}">{lines}</svg>{end}</svg>'
    ).format(
        loss=last.loss, step=last.step, height=HEIGHT, axes=frame.axes(x_ticks, y_ticks),
        lines=Markup("").join(lines), end=frame.end(last),
    )  # fmt: skip


def learning(points: Sequence[LearningPoint]) -> Markup:
    """Shares of correct attempts over the steps of reinforcement learning, in percent: those made
    in each step, thin, with their mean over the steps around it; and, dots on a line, the held-out
    score. Empty where there is no step.

    The axis begins at the round number below the lowest share.
    """
    solved = [(point.step, point.solved) for point in points if point.solved is not None]
    held_out = [(point.step, point.held_out) for point in points if point.held_out is not None]
    if not solved:
        return Markup("")
    shares = [share for _, share in (*solved, *held_out)]
    y_ticks = ticks(100 * min(shares), 100 * max(shares))
    left, right = min(points[0].step, 1), max(points[-1].step, 2)
    frame = _Frame(left, right, y_ticks[-1] / 100, y_ticks[0] / 100)
    x_ticks = [at for at in ticks(left, right) if left <= at <= right]
    lines = [
        frame.line("rate", solved),
        frame.line("loss", _smoothed(solved)),
        frame.line("valid", held_out),
    ]
    dots = [
        Markup('<circle class="dot" cx="{:.2f}%" cy="{:.1f}" r="3.5"/>').format(
            100 * frame.x(step), HEIGHT * frame.y(share)
        )
        for step, share in held_out
    ]
    first, last = _smoothed(solved)[0][1], _smoothed(solved)[-1][1]
    return Markup(
        '<svg class="curve" role="img" aria-label="share solved over steps, from {first:.0%} to '
        '{last:.0%}" height="{height}">{axes}<svg viewBox="0 0 1000 1000" '
        'preserveAspectRatio="none" width="100%" height="{height}">{lines}</svg>{dots}</svg>'
    ).format(
        first=first, last=last, height=HEIGHT,
        axes=frame.axes(x_ticks, [at / 100 for at in y_ticks], "{:.0%}"),
        lines=Markup("").join(lines), dots=Markup("").join(dots),
    )  # fmt: skip


def _smoothed(places: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The mean of the `_AROUND` places before and after each, where there are so many."""
    found = []
    for at, (step, _) in enumerate(places):
        around = [share for _, share in places[max(0, at - _AROUND) : at + _AROUND + 1]]
        found.append((step, sum(around) / len(around)))
    return found


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _thin(points: Sequence[TrainingPoint]) -> list[TrainingPoint]:
    """At most about `_MOST_POINTS` of them, evenly, the last one kept."""
    stride = max(1, math.ceil(len(points) / _MOST_POINTS))
    return [*points[:-1:stride], *points[-1:]]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a step and a value are drawn: x and y as shares of the frame, y from its top."""

    left: float
    right: float
    top: float
    bottom: float = 0.0

    def x(self, step: float) -> float:
        return (step - self.left) / (self.right - self.left)

    def y(self, value: float) -> float:
        return (self.top - value) / (self.top - self.bottom)

    def line(self, name: str, places: Sequence[tuple[float, float | None]]) -> Markup:
        if not places:
            return Markup("")
        drawn = " ".join(
            f"{1000 * self.x(step):.1f},{1000 * self.y(value or 0.0):.1f}" for step, value in places
        )
        return Markup('<polyline class="{}" points="{}"/>').format(name, drawn)

    def axes(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], form: str = "{:g}"
    ) -> Markup:
        parts = []
        for value in y_ticks:
            y = HEIGHT * self.y(value)
            parts.append(
                Markup(
                    '<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>'
                    '<text x="0" dx="-8" y="{0:.1f}" dy="0.34em" text-anchor="end">{1}</text>'
                ).format(y, form.format(value))
            )
        for step in x_ticks:
            parts.append(
                Markup('<text x="{:.2f}%" y="{}" text-anchor="middle">{}</text>').format(
                    100 * self.x(step), HEIGHT + 18, f"{step:,g}"
                )
            )
        return Markup("").join(parts)

    def end(self, last: TrainingPoint) -> Markup:
        """A dot on the last loss, and its value above it."""
        y = HEIGHT * self.y(last.loss)
        return Markup(
            '<g class="end"><circle cx="{x:.2f}%" cy="{y:.1f}" r="4"/><text x="{x:.2f}%" '
            'y="{y:.1f}" dx="8" dy="0.34em">{loss:.3f}</text></g>'
        ).format(x=100 * self.x(last.step), y=y, loss=last.loss)
