"""From a loss a token to the loss of a step: three ways to average, each a weight a sequence.

All three are one weighted mean over tokens, sum(w_b x loss_bt) / sum(w_b x mask_bt), and differ in
the weight w_b that a sequence's tokens have. Sums and normalisers add up over micro-batches and
processes; they are divided once, at the end, and never averaged.

    sequence_mean   w_b = weight_b / |o_b|       the mean of each sequence, then the mean of those
                                                 (GRPO, Shao et al. 2024, equation 3)
    group_mean      w_b = weight_b / |o_group|   the mean over a group's tokens, then over questions
                                                 (WebSailor, Li et al. 2025, equation 3 as printed)
    token_mean      w_b = weight_b               the mean over all tokens of the batch (DAPO as verl
                                                 and TRL implement it)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Aggregate = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]
"""(lengths_B, weight_B, group_B) of all sequences of a step -> w_B."""


def sequence_mean(lengths_B: Tensor, weight_B: Tensor, group_B: Tensor) -> Tensor:
    """Every sequence counts alike, whatever its length: a token of a long one counts less."""
    return weight_B / lengths_B


def group_mean(lengths_B: Tensor, weight_B: Tensor, group_B: Tensor) -> Tensor:
    """Every group counts alike; within it every token does. The lengths are all of the step's:
    a group may be spread over micro-batches, but its tokens are counted together."""
    same_BB = group_B[:, None] == group_B[None, :]
    return weight_B / (same_BB * lengths_B[None, :]).sum(dim=1)


def token_mean(lengths_B: Tensor, weight_B: Tensor, group_B: Tensor) -> Tensor:
    """Every token counts alike: a long sequence counts more."""
    return weight_B.clone()


def weighted_sum(loss_BT: Tensor, mask_BT: Tensor, w_B: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of w x mask x loss, and of w x mask: the first over the second is the mean, each
    summed over the micro-batches and processes of a step."""
    # Where the mask is 0 a loss may be anything, infinite included: 0 x inf is not 0.
    share_BT = mask_BT.to(loss_BT.dtype) * w_B.to(loss_BT.dtype)[:, None]
    return (share_BT * loss_BT.masked_fill(mask_BT == 0, 0.0)).sum(), share_BT.sum()
