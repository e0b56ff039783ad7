"""Terms beside the surrogate: distance to a reference, entropy, what a value head is to learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_LEAST = -1e4  # nats: its exponential is 0, and 0 x infinity would be no number


def kl(logprobs_BT: Tensor, reference_logprobs_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """exp(d) - d - 1 with d = log p_ref - log p: an estimate of KL(p, p_ref) from tokens sampled
    from p, without bias and never under 0 (GRPO, Shao et al. 2024, equation 4; Schulman's k3).
    0 where the mask is 0."""
    gap_BT = (reference_logprobs_BT.detach() - logprobs_BT).masked_fill(mask_BT == 0, 0.0)
    return gap_BT.exp() - gap_BT - 1.0


def entropy(logprobs_NV: Tensor) -> Tensor:
    """-sum of p log p over the vocabulary, in nats, shape N: the bonus of PPO's equation 9
    (Schulman et al. 2017). What has no probability adds nothing."""
    return -(logprobs_NV.exp() * logprobs_NV.clamp(min=_LEAST)).sum(dim=-1)


def value_loss(
    values_BT: Tensor, old_values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor, clip: float
) -> Tensor:
    """Half the squared error, of the value or of the value held within `clip` of the old one,
    whichever is greater (Schulman et al. 2017, as implemented). 0 where the mask is 0."""
    old_BT = old_values_BT.detach()
    held_BT = old_BT + (values_BT - old_BT).clamp(-clip, clip)
    worst_BT = (values_BT - returns_BT).square().maximum((held_BT - returns_BT).square())
    return (0.5 * worst_BT).masked_fill(mask_BT == 0, 0.0)
