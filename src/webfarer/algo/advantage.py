"""Advantages: how much better than expected each token was. All give 0 where the mask is 0.

The reward of a trajectory stands at its end; without a value head each of its tokens has the same
advantage. Rewards are of members that count: a failure of ours has none and is not here, so that it
neither lowers nor raises a baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

_EPS = 1e-6


class Advantages(NamedTuple):
    """`returns_BT` is what a value head is to predict; None where there is none."""

    advantages_BT: Tensor
    returns_BT: Tensor | None = None


Advantage = Callable[["Tensor", "Tensor", "Tensor", "Tensor | None"], Advantages]
"""(rewards_B, group_B, mask_BT, values_BT) -> Advantages."""


def within_group(
    rewards_B: Tensor, group_B: Tensor, mask_BT: Tensor, values_BT: Tensor | None = None
) -> Advantages:
    """(r - mean of its group) / (standard deviation of its group + 1e-6).

    GRPO (Shao et al. 2024, section 4.1.2), DAPO and DUPO. The deviation is the sample's (n - 1),
    as in TRL and verl. A group of one, and a group whose rewards are all the same, has advantage 0:
    there is nothing to compare with.
    """
    import torch

    _check(rewards_B)
    advantages_B = torch.zeros_like(rewards_B)
    for group in group_B.unique():
        place = (group_B == group).nonzero()[:, 0]
        advantages_B[place] = _normalised(rewards_B[place])
    return Advantages(advantages_B[:, None] * mask_BT.to(rewards_B.dtype))


def within_batch(
    rewards_B: Tensor, group_B: Tensor, mask_BT: Tensor, values_BT: Tensor | None = None
) -> Advantages:
    """(r - mean of the batch) / (standard deviation of the batch + 1e-6): as WebDancer (Wu et al.
    2025) can be read. Groups play no part, so that a group without variance still
    pushes: up where its task is easy, down where it is hard."""
    _check(rewards_B)
    return Advantages(_normalised(rewards_B)[:, None] * mask_BT.to(rewards_B.dtype))


def generalised(gamma: float = 1.0, lam: float = 1.0) -> Advantage:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16), then normalised over
    the batch's tokens, as PPO implementations do; returns are advantage + value before that."""

    def advantage(
        rewards_B: Tensor, group_B: Tensor, mask_BT: Tensor, values_BT: Tensor | None
    ) -> Advantages:
        if values_BT is None:
            raise ValueError("generalised advantages need the values of a value head")
        _check(rewards_B)
        raw_BT = gae(rewards_B, values_BT, mask_BT, gamma, lam)
        kept = mask_BT != 0
        advantages_BT = raw_BT.clone()
        advantages_BT[kept] = _normalised(raw_BT[kept])
        return Advantages(advantages_BT, (raw_BT + values_BT).masked_fill(~kept, 0.0))

    return advantage


def gae(rewards_B: Tensor, values_BT: Tensor, mask_BT: Tensor, gamma: float, lam: float) -> Tensor:
    """A_t = delta_t + gamma x lam x A_(t+1), delta_t = r_t + gamma x V_(t+1) - V_t.

    Time goes from one token of the policy to its next: observation and template tokens between them
    are no steps, and their values are never read. The reward comes with the last token of the
    policy; after it everything is 0.
    """
    import torch

    advantages_BT = torch.zeros_like(values_BT)
    following_B = torch.zeros_like(rewards_B)  # the advantage and value of the policy's next token
    value_B = torch.zeros_like(rewards_B)
    reward_B = rewards_B.clone()
    for t in range(values_BT.shape[1] - 1, -1, -1):
        own_B = mask_BT[:, t] != 0
        delta_B = reward_B + gamma * value_B - values_BT[:, t]
        here_B = delta_B + gamma * lam * following_B
        advantages_BT[:, t] = torch.where(own_B, here_B, 0.0)
        following_B = torch.where(own_B, here_B, following_B)
        value_B = torch.where(own_B, values_BT[:, t], value_B)
        reward_B = torch.where(own_B, 0.0, reward_B)
    return advantages_BT


def _normalised(x_N: Tensor) -> Tensor:
    # The mean of numbers that are all the same may miss them by a rounding, which a deviation as
    # small would blow up: eight rewards of 0.9 in float32 would have an advantage of 0.056.
    if bool((x_N == x_N[:1]).all()):
        return x_N * 0.0
    return (x_N - x_N.mean()) / (x_N.std() + _EPS)


def _check(rewards_B: Tensor) -> None:
    if not bool(rewards_B.isfinite().all()):
        raise ValueError("a reward is not a number: failures and unjudged answers have none")
