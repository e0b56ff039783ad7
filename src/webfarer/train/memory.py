"""What a forward and backward pass may hold: activation checkpointing, and running out of memory.

The loss of a mini-batch is a sum over its sequences divided by a number known beforehand, so that
it does not depend on which of them share a forward pass. Where memory runs out, the mini-batch
therefore begins again from zero gradients with half as many tokens in a pass, and comes to the same
gradients but for the order of the additions.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from webfarer.policy.support import out_of_memory
from webfarer.types import BadInput, WebfarerError

Lot = Sequence[int]
Split = Callable[[int], Sequence[Lot]]
"""The micro-batches for a bound on the tokens of one."""


def enable_checkpointing(model: nn.Module) -> None:
    """Keeps only what each layer was given, and computes the rest again in the backward pass
    (Chen et al. 2016): about a third more time for a fraction of the memory.

    The layers are those that transformers would checkpoint. Its own switch works in training mode
    alone, which would also turn dropout on, and what is trained here was sampled without. Raises
    BadInput for a model whose family marks no such layers.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
    if not layers:
        raise BadInput(f"{type(model).__name__} cannot do without its activations: checkpointing")
    for layer in layers:
        layer.forward = partial(_again, layer.forward)


def _again(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


class Room:
    """How many tokens a pass may hold: `tokens` at first, fewer once memory has run out.

    With `shrinks` off (where every forward pass is made by several processes together, one alone
    cannot begin again) running out of memory is an error at once.
    """

    def __init__(self, tokens: int, shrinks: bool = True) -> None:
        self.tokens = tokens
        self._shrinks = shrinks

    def fill(
        self,
        split: Split,
        lengths: Sequence[int],
        work: Callable[[Lot], None],
        again: Callable[[], None],
    ) -> str:
        """Does `work` on every lot of `split`; what to note about it, "" where all went well.

        Where memory runs out, `again` undoes what was done and all begins anew with half of the
        tokens that did not fit. Raises WebfarerError where they are one sequence's; `again` was
        called then too.
        """
        before = self.tokens
        while (stuck := _stuck(split(self.tokens), work)) is not None:
            again()
            _release()
            held = sum(lengths[place] for place in stuck)
            if len(stuck) == 1 or not self._shrinks:
                lower = f"lower micro_tokens (now {self.tokens}) or " if len(stuck) > 1 else ""
                raise WebfarerError(
                    f"out of memory on a forward pass of {held} tokens ({len(stuck)} sequences): "
                    f"{lower}set checkpointing and run again to go on; or begin in another folder "
                    "with a shorter rollout.context, or with lora_rank"
                )
            self.tokens = held // 2
        if self.tokens == before:
            return ""
        return f"out of memory with {before} micro_tokens: from here on {self.tokens}"


def _stuck(lots: Sequence[Lot], work: Callable[[Lot], None]) -> Lot | None:
    """The lot that memory did not suffice for. Its error, and with it all that its frames hold, is
    gone when this returns."""
    for lot in lots:
        try:
            work(lot)
        except Exception as error:
            if not out_of_memory(error):
                raise
            return lot
    return None


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
