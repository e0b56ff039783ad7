"""Length in the reward: the soft overlong punishment, and overlong filtering."""

from __future__ import annotations


def soft_overlong(length: int, longest: int, margin: int) -> float:
    """What is added to a reward for an attempt of `length` tokens: between 0 and -1.

    DAPO (Yu et al. 2025, equation 13): 0 up to longest - margin, then linear down to -1 at
    `longest`, and -1 beyond. There it is the response's length; here that of the whole attempt,
    prompt and observations included, since that is what `longest`, the context, is the limit of.
    It is what was written down: an attempt that ended because its next observation did not fit is
    as long as it was before that, not `longest`. Raises ValueError unless 0 < margin <= longest.
    """
    if not 0 < margin <= longest:
        raise ValueError(f"a margin of {margin} tokens does not fit a length of {longest}")
    return -min(1.0, max(0.0, (length - (longest - margin)) / margin))


def overlong_filtered(stop: str) -> bool:
    """Whether overlong filtering (DAPO, section 3.4) leaves a trajectory with this stop reason out
    of the loss: what the token limit cut says nothing of what its answer would have been.

    Here it leaves the group's mean too; in the paper and in TRL it stays there, a wrong answer.
    Groups are selected before, by their verdicts: there it counts as wrong."""
    return stop == "token_limit"
