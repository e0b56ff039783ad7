"""Which groups of a step are trained on, and how often each counts.

A group in which every member is correct, or none, teaches nothing: its advantages are all 0. That
is judged on verdicts, before any shaping, because format and length terms give variance to groups
that are all wrong. A selection is a count for each group: 0 leaves it out, 2 is one copy beside it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a group did: how many of its members that count are correct. `spread` is 0 where all or
    none are, at most 0.25: the variance of a verdict."""

    correct: int
    valid: int

    @property
    def spread(self) -> float:
        share = self.correct / self.valid if self.valid else 0.0
        return share * (1.0 - share)


Select = Callable[[Sequence[Outcome], random.Random], tuple[int, ...]]


def keep_all(outcomes: Sequence[Outcome], rng: random.Random) -> tuple[int, ...]:
    """Every group once: PPO and GRPO."""
    return tuple(int(outcome.valid > 0) for outcome in outcomes)


def keep_spread(outcomes: Sequence[Outcome], rng: random.Random) -> tuple[int, ...]:
    """Every group that has a spread once, the others not: what DAPO's dynamic sampling keeps
    (Yu et al. 2025, section 3.2), which then samples further tasks until the batch is full."""
    return tuple(int(outcome.spread > 0) for outcome in outcomes)


def duplicate(outcomes: Sequence[Outcome], rng: random.Random) -> tuple[int, ...]:
    """DUPO (WebSailor, Li et al. 2025): a group without a spread gives its place to a
    copy of another group that has one, drawn at random, each as often as the draws say."""
    return _filled(outcomes, rng, lambda outcome: 1.0)


def duplicate_by_spread(outcomes: Sequence[Outcome], rng: random.Random) -> tuple[int, ...]:
    """DUPO, the copies drawn in proportion to their spread."""
    return _filled(outcomes, rng, lambda outcome: outcome.spread)


def first(wanted: int, outcomes: Sequence[Outcome]) -> tuple[int, ...]:
    """The places of the first `wanted` groups with a spread, in task order. A refill that is
    accepted in order of completion would prefer the tasks that are quickly done."""
    places = (place for place, outcome in enumerate(outcomes) if outcome.spread > 0)
    return tuple(place for _, place in zip(range(wanted), places, strict=False))


def _filled(
    outcomes: Sequence[Outcome], rng: random.Random, weight: Callable[[Outcome], float]
) -> tuple[int, ...]:
    counts = list(keep_spread(outcomes, rng))
    kept = [place for place, count in enumerate(counts) if count]
    if kept:
        weights = [weight(outcomes[place]) for place in kept]
        for place in rng.choices(kept, weights, k=len(counts) - len(kept)):
            counts[place] += 1
    return tuple(counts)
