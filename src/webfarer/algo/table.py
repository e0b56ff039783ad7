"""PPO, GRPO, DAPO and DUPO: four rows of one table, which differ in nothing else.

A fifth is one more row here, and where it needs an advantage, an aggregation or a selection that is
not there yet, one file with a function of that signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from webfarer.algo.advantage import Advantage, generalised, within_group
from webfarer.algo.aggregate import Aggregate, group_mean, sequence_mean, token_mean
from webfarer.algo.select import Select, duplicate, keep_all, keep_spread
from webfarer.algo.surrogate import Clip


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
