"""Pure functions of tensors and numbers. They take log-probabilities, never logits."""

from webfarer.algo.advantage import Advantages, gae, generalised, within_batch, within_group
from webfarer.algo.aggregate import group_mean, sequence_mean, token_mean, weighted_sum
from webfarer.algo.likelihood import nll
from webfarer.algo.penalty import entropy, kl, value_loss
from webfarer.algo.schedule import warmup_cosine
from webfarer.algo.select import (
    Outcome,
    duplicate,
    duplicate_by_spread,
    first,
    keep_all,
    keep_spread,
)
from webfarer.algo.shaping import overlong_filtered, soft_overlong
from webfarer.algo.surrogate import Clip, Surrogate, surrogate, truncated_importance
from webfarer.algo.table import ALGORITHMS, Algorithm, row_of

__all__ = [
    "ALGORITHMS",
    "Advantages",
    "Algorithm",
    "Clip",
    "Outcome",
    "Surrogate",
    "duplicate",
    "duplicate_by_spread",
    "entropy",
    "first",
    "gae",
    "generalised",
    "group_mean",
    "keep_all",
    "keep_spread",
    "kl",
    "nll",
    "overlong_filtered",
    "row_of",
    "sequence_mean",
    "soft_overlong",
    "surrogate",
    "token_mean",
    "truncated_importance",
    "value_loss",
    "warmup_cosine",
    "weighted_sum",
    "within_batch",
    "within_group",
]
