"""Masked negative log-likelihood: the loss of fine-tuning and pre-training.

A sum and what to divide it by are returned apart, so that micro-batches add up to exactly the
mean over all trained tokens of a step: the mean of micro-batch means is another number wherever
they hold different numbers of tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def nll(
    logprobs_BT: Tensor, mask_BT: Tensor, weight_B: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The sum over tokens of -weight x mask x log-probability (nats), and of weight x mask.

    `logprobs_BT` are those of the tokens themselves: logprobs[b, t] = log p(token t | before).
    Divide the first by the second, each summed over a step's micro-batches. Raises ValueError
    where shapes differ.
    """
    if logprobs_BT.shape != mask_BT.shape:
        raise ValueError(
            f"logprobs_BT is {tuple(logprobs_BT.shape)}, mask_BT {tuple(mask_BT.shape)}"
        )
    share_BT = mask_BT.to(logprobs_BT.dtype)
    if weight_B is not None:
        share_BT = share_BT * weight_B[:, None]
    # Where the mask is 0 a log-probability may be anything, -inf included: 0 x -inf is not 0.
    kept_BT = logprobs_BT.masked_fill(mask_BT == 0, 0.0)
    return -(share_BT * kept_BT).sum(), share_BT.sum()
