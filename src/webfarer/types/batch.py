"""`Batch`: what the algorithms are given. Tensor names carry their shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """B sequences of T tokens, right-padded; padding has mask 0.

    `engine_logprobs_BT` are those of the distribution sampled from, as the engine recorded them;
    `old_logprobs_BT` is where the trainer's own under the same weights go, the engine's until it
    has computed them; `weight_B` multiplies a
    sequence in every sum; `group_B` numbers its group; `version_BT` is the policy version that
    sampled each token, -1 where none did (`Segment.versions`). Raises ValueError where shapes
    differ or a row has nothing to learn from.
    """

    tokens_BT: Tensor
    mask_BT: Tensor
    engine_logprobs_BT: Tensor
    old_logprobs_BT: Tensor
    advantages_BT: Tensor
    weight_B: Tensor
    group_B: Tensor
    version_BT: Tensor
    reference_logprobs_BT: Tensor | None = None
    values_BT: Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.tokens_BT.shape
        for name in self.__slots__:
            value = getattr(self, name)
            want = shape[:1] if name.endswith("_B") else shape
            if value is not None and value.shape != want:
                raise ValueError(f"{name} has shape {tuple(value.shape)}, not {tuple(want)}")
        if not bool((self.mask_BT.sum(dim=1) > 0).all()):
            raise ValueError("a sequence's mask is all zero: there is nothing to learn from it")
