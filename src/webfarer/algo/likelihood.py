"""Masked negative log-likelihood: the loss of fine-tuning and pre-training.

A sum and what to divide it by are returned apart, so that micro-batches add up to exactly the
mean over all trained tokens of a step: the mean of micro-batch means is another number wherever
they hold different numbers of tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webfarer.algo.aggregate import weighted_sum

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
    w_B = logprobs_BT.new_ones(len(logprobs_BT)) if weight_B is None else weight_B
    return weighted_sum(-logprobs_BT, mask_BT, w_B)
