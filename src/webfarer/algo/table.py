"""PPO, GRPO, DAPO and DUPO: four rows of one table, which differ in nothing else.

A fifth is one more row here, and where it needs an advantage, an aggregation or a selection that is
not there yet, one file with a function of that signature. A run may change a part of its row by
settings: so are ablations made, and WebDancer's advantages within the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from webfarer.algo.advantage import Advantage, generalised, within_batch, within_group
from webfarer.algo.aggregate import Aggregate, group_mean, sequence_mean, token_mean
from webfarer.algo.select import (
    Select,
    duplicate,
    duplicate_by_spread,
    keep_all,
    keep_spread,
)
from webfarer.algo.surrogate import Clip
from webfarer.types import BadInput, RlSettings, RowSettings


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row. `refill` is whether the groups that selection leaves out are replaced by further
    tasks (dynamic sampling); `prefilter` whether tasks that every rollout solves are taken away
    before training; `overlong` how length enters: not at all, as a soft punishment, or by leaving
    out of the loss what the limit cut. `critic` is whether there is a value head."""

    name: str
    advantage: Advantage
    clip: Clip
    aggregate: Aggregate
    select: Select
    refill: bool = False
    prefilter: bool = False
    overlong: Literal["none", "soft", "filter"] = "none"
    critic: bool = False


ALGORITHMS: dict[str, Algorithm] = {
    row.name: row
    for row in (
        Algorithm("ppo", generalised(), Clip(0.2, 0.2), token_mean, keep_all, critic=True),
        Algorithm("grpo", within_group, Clip(0.2, 0.2), sequence_mean, keep_all),
        Algorithm(
            "dapo", within_group, Clip(0.2, 0.28), token_mean, keep_spread, True, overlong="soft"
        ),
        Algorithm("dupo", within_group, Clip(0.2, 0.28), group_mean, duplicate, prefilter=True),
    )
}

_ADVANTAGES: dict[str, Advantage] = {"group": within_group, "batch": within_batch}
_AGGREGATES: dict[str, Aggregate] = {
    "sequence": sequence_mean,
    "group": group_mean,
    "token": token_mean,
}
_SELECTS: dict[str, Select] = {
    "all": keep_all,
    "spread": keep_spread,
    "copies": duplicate,
    "copies_by_spread": duplicate_by_spread,
}
_COPYING = (duplicate, duplicate_by_spread)


def row_of(settings: RlSettings) -> Algorithm:
    """The row of the settings' algorithm with the changes that they make to it.

    Raises BadInput where there is no such algorithm, or a change does not suit it.
    """
    row = ALGORITHMS.get(settings.algorithm)
    if row is None:
        known = ", ".join(ALGORITHMS)
        raise BadInput(f"rl.algorithm: there is no {settings.algorithm}; choose one of {known}")
    _check(row, settings.row)
    row = replace(row, **_changes(row, settings.row))
    if settings.as_weights and row.select in _COPYING and row.advantage is not within_group:
        raise BadInput(
            "rl.row: copies change the mean of a batch that advantages are normalised over, and "
            "weights do not: set rl.as_weights=false"
        )
    told = settings.row.refill or settings.row.select
    if told and row.refill and row.select is not keep_spread:
        raise BadInput("rl.row.refill fills up with groups that have a spread: use select spread")
    return row


def _check(row: Algorithm, given: RowSettings) -> None:
    if row.critic and given.advantage:
        raise BadInput(f"rl.row.advantage: {row.name} has a critic, whose advantages are its own")
    if not row.critic and not given.gamma is given.lam is None:
        raise BadInput(f"rl.row: gamma and lam are for a critic, and {row.name} has none")


def _changes(row: Algorithm, given: RowSettings) -> dict[str, Any]:
    def told(value: float | None, default: float) -> float:
        return default if value is None else value

    changes: dict[str, Any] = {
        "clip": Clip(told(given.clip_low, row.clip.low), told(given.clip_high, row.clip.high)),
        "refill": row.refill if given.refill is None else given.refill,
        "overlong": given.overlong or row.overlong,
    }
    if row.critic:
        changes["advantage"] = generalised(told(given.gamma, 1.0), told(given.lam, 1.0))
    if given.advantage:
        changes["advantage"] = _ADVANTAGES[given.advantage]
    if given.aggregate:
        changes["aggregate"] = _AGGREGATES[given.aggregate]
    if given.select:
        changes["select"] = _SELECTS[given.select]
    return changes
