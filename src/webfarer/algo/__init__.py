"""Pure functions of tensors and numbers. They take log-probabilities, never logits."""

from webfarer.algo.likelihood import nll
from webfarer.algo.schedule import warmup_cosine

__all__ = ["nll", "warmup_cosine"]
