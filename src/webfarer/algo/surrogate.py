"""The clipped surrogate of policy optimisation, token by token.

PPO's objective (Schulman et al. 2017, equation 7) with bounds of its own below and above
(DAPO, Yu et al. 2025, equation 8: "clip-higher"), one importance ratio a token. Two ratios are
kept apart: new / old, between the weights being trained and those the step began with, which the
clip bounds; and old / engine, between the trainer's and the engine's arithmetic under the same
weights, which is a weight, truncated from above and never differentiated (Yao et al. 2025,
"truncated importance sampling").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Clip(NamedTuple):
    """The ratio new / old counts between 1 - `low` and 1 + `high`."""

    low: float = 0.2
    high: float = 0.2


class Surrogate(NamedTuple):
    """The loss of each token, 0 where the mask is; and which tokens the clip held from below
    (advantage under 0) and from above (advantage over 0)."""

    loss_BT: Tensor
    held_low_BT: Tensor
    held_high_BT: Tensor


def surrogate(
    logprobs_BT: Tensor,
    old_logprobs_BT: Tensor,
    advantages_BT: Tensor,
    mask_BT: Tensor,
    clip: Clip,
    importance_BT: Tensor | None = None,
) -> Surrogate:
    """-min(ratio x A, clip(ratio) x A) x importance, in which ratio = exp(log p - log p_old).

    The old log-probabilities, advantages and importance are constants: no gradient enters them.
    Raises ValueError where shapes differ or a bound makes no sense.
    """
    _check(logprobs_BT, old_logprobs_BT, advantages_BT, mask_BT, clip)
    masked_BT = mask_BT == 0
    # Masked before the exponential: what stands there may be infinite, and inf x 0 is no number.
    change_BT = (logprobs_BT - old_logprobs_BT.detach()).masked_fill(masked_BT, 0.0)
    ratio_BT = change_BT.exp()
    advantages_BT = advantages_BT.detach().masked_fill(masked_BT, 0.0)
    bounded_BT = ratio_BT.clamp(1.0 - clip.low, 1.0 + clip.high)
    gain_BT = (ratio_BT * advantages_BT).minimum(bounded_BT * advantages_BT)
    if importance_BT is not None:
        gain_BT = gain_BT * importance_BT.detach().masked_fill(masked_BT, 0.0)
    return Surrogate(
        loss_BT=-gain_BT,
        held_low_BT=(ratio_BT < 1.0 - clip.low) & (advantages_BT < 0),
        held_high_BT=(ratio_BT > 1.0 + clip.high) & (advantages_BT > 0),
    )


def truncated_importance(
    old_logprobs_BT: Tensor, engine_logprobs_BT: Tensor, mask_BT: Tensor, cap: float = 2.0
) -> Tensor:
    """min(exp(log p_old - log p_engine), cap) for each token, 1 where the mask is 0, no gradient.

    It corrects for an engine that computes other log-probabilities than the trainer does (another
    precision, other kernels) under the same weights. Raises ValueError for a cap under 1.
    """
    if cap < 1:
        raise ValueError(f"an importance cap of {cap} is under 1")
    gap_BT = (old_logprobs_BT - engine_logprobs_BT).detach()
    return gap_BT.masked_fill(mask_BT == 0, 0.0).exp().clamp(max=cap)


def _check(
    logprobs_BT: Tensor,
    old_logprobs_BT: Tensor,
    advantages_BT: Tensor,
    mask_BT: Tensor,
    clip: Clip,
) -> None:
    shapes = {tuple(t.shape) for t in (logprobs_BT, old_logprobs_BT, advantages_BT, mask_BT)}
    if len(shapes) > 1:
        raise ValueError(f"the shapes differ: {sorted(shapes)}")
    if not (0 <= clip.low <= 1 and clip.high >= 0):
        raise ValueError(f"no ratio lies between 1 - {clip.low} and 1 + {clip.high}")
