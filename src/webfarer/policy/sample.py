"""Drawing tokens: temperature, top-k, top-p, and a uniform number keyed by seed and position.

Tokens are drawn by inverting the cumulative distribution at a counter-based uniform (SplitMix64:
Steele, Lea and Flood 2014), so that a draw depends on nothing but its own seed, position and
distribution: neither batch nor order matters. Top-p is nucleus sampling (Holtzman et al. 2020).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * _MIX_A
    x = (x ^ (x >> np.uint64(27))) * _MIX_B
    return x ^ (x >> np.uint64(31))


def uniforms(seed_B: np.ndarray, position_B: np.ndarray) -> np.ndarray:
    """Uniform numbers in [0, 1), float32 with 24 random bits, one for each (seed, position)."""
    counter = position_B.astype(np.uint64) + np.uint64(1)
    bits = _mix(_mix(seed_B.astype(np.uint64) + _GAMMA) + counter * _GAMMA)
    return ((bits >> np.uint64(40)).astype(np.float32)) * np.float32(2.0**-24)


def draw(
    logits_BV: Tensor, temperature_B: Tensor, top_p_B: Tensor, top_k_B: Tensor, uniform_B: Tensor
) -> tuple[Tensor, Tensor]:
    """The ids drawn (B) and their log-probabilities (B) under the distribution drawn from.

    That is the softmax after temperature and truncation; where temperature is 0 the id is the
    argmax and its log-probability that of the model at temperature 1. `top_k` 0 and `top_p` 1 are
    off; of tokens tied at the edge of top-k all are kept. A row whose logits are not finite gives
    a log-probability of NaN.
    """
    greedy_B = temperature_B == 0
    scale_B = torch.where(greedy_B, torch.ones_like(temperature_B), temperature_B)
    scaled_BV = logits_BV.float()
    if not bool((scale_B == 1).all()):
        scaled_BV = scaled_BV / scale_B[:, None]
    logz_B = scaled_BV.logsumexp(dim=-1)
    if bool(greedy_B.all()):
        ids_B = scaled_BV.argmax(dim=-1)
        return ids_B, scaled_BV.gather(1, ids_B[:, None])[:, 0] - logz_B
    probs_BV = (scaled_BV - logz_B[:, None]).exp_()
    truncated_B = ((top_k_B > 0) | (top_p_B < 1)) & ~greedy_B
    if bool(truncated_B.any()):
        kept_BV = _truncate(probs_BV, top_p_B, top_k_B)
        probs_BV = torch.where(truncated_B[:, None], kept_BV, probs_BV)
    ids_B, total_B = _invert(probs_BV, uniform_B)
    if bool(greedy_B.any()):
        ids_B = torch.where(greedy_B, scaled_BV.argmax(dim=-1), ids_B)
    logprob_B = scaled_BV.gather(1, ids_B[:, None])[:, 0] - logz_B
    return ids_B, torch.where(truncated_B, logprob_B - total_B.log(), logprob_B)


def _invert(probs_BV: Tensor, uniform_B: Tensor) -> tuple[Tensor, Tensor]:
    """The first id whose cumulative probability goes beyond the uniform, and the total."""
    cumulative_BV = probs_BV.cumsum(dim=-1)
    total_B = cumulative_BV[:, -1]
    below_B = torch.nextafter(total_B, torch.zeros_like(total_B))
    target_B = torch.minimum(uniform_B * total_B, below_B)
    ids_B = torch.searchsorted(cumulative_BV, target_B[:, None], right=True)[:, 0]
    return ids_B.clamp(max=probs_BV.shape[1] - 1), total_B


def _truncate(probs_BV: Tensor, top_p_B: Tensor, top_k_B: Tensor) -> Tensor:
    """Zeroes what top-k leaves out, then what top-p leaves out of the rest; not renormalised."""
    size = probs_BV.shape[1]
    sorted_BV = probs_BV.sort(dim=-1, descending=True).values
    last_B = torch.where(top_k_B > 0, top_k_B, size).clamp(max=size) - 1
    floor_B = sorted_BV.gather(1, last_B[:, None])
    sorted_BV = sorted_BV.masked_fill(sorted_BV < floor_B, 0)
    cumulative_BV = sorted_BV.cumsum(dim=-1)
    want_B = top_p_B[:, None] * cumulative_BV[:, -1:]
    enough_B = (cumulative_BV < want_B).sum(dim=-1, keepdim=True).clamp(max=size - 1)
    nucleus_B = torch.where(top_p_B[:, None] < 1, sorted_BV.gather(1, enough_B), floor_B)
    return probs_BV.masked_fill(probs_BV < torch.maximum(floor_B, nucleus_B), 0)
