"""`SlotCache`: one row of keys and values for each sequence, kept across turns.

Every layer holds two buffers [rows, kv_heads, capacity + 1, head_dim]. Rows are ragged: each token
is written where the step says, so that sequences of any length decode in one batch, and nothing is
moved when one of them leaves. The last column is scratch for the padding of a ragged prefill. A
batch over rows 0..n-1 reads a view; any other choice of rows is gathered. The models' own forward
runs over it, as over any `transformers` cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Cache


@dataclass(frozen=True, slots=True)
class Step:
    """Where a forward over B rows and T new tokens writes, and how far it reads.

    `at_BT` are positions; `view` says that the rows are 0..B-1, so that no gather is needed.
    """

    rows_B: Tensor
    at_BT: Tensor
    length: int
    view: bool


class SlotCache(Cache):
    """Buffers that appear with the first forward and grow by `reshape`; None until then."""

    def __init__(self, layers: int, device: torch.device) -> None:
        super().__init__(layers=[])
        self.device = device
        self.rows = 0
        self.capacity = 0
        self.keys: list[Tensor | None] = [None] * layers
        self.values: list[Tensor | None] = [None] * layers
        self._step: Step | None = None

    def begin(self, rows: np.ndarray, start_B: np.ndarray, end_B: np.ndarray, steps: int) -> Tensor:
        """Says where the next forward writes; returns its position ids (B, T), on the CPU.

        Row b's new tokens are at start_B[b] and after; from end_B[b] on they are padding.
        """
        at_BT = start_B[:, None] + np.arange(steps)
        real_BT = at_BT < end_B[:, None]
        view = bool((rows == np.arange(len(rows))).all())
        write_BT = torch.from_numpy(np.where(real_BT, at_BT, self.capacity)).to(self.device)
        rows_B = torch.from_numpy(rows).to(self.device)
        length = int(np.minimum(start_B + steps, end_B).max())
        self._step = Step(rows_B, write_BT, length, view)
        return torch.from_numpy(np.where(real_BT, at_BT, end_B[:, None] - 1))

    def mask(self, dtype: torch.dtype) -> Tensor:
        """The additive mask (B, 1, T, length): a token sees the positions up to its own."""
        assert self._step is not None
        at_BT = self._step.at_BT
        seen = torch.arange(self._step.length, device=at_BT.device) <= at_BT[:, None, :, None]
        hidden = torch.finfo(dtype).min
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, hidden)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes (B, kv_heads, T, head_dim) and returns the rows' keys and values so far."""
        return (
            self._put(self.keys, layer_idx, key_states),
            self._put(self.values, layer_idx, value_states),
        )

    def _put(self, buffers: list[Tensor | None], layer: int, new: Tensor) -> Tensor:
        step = self._step
        assert step is not None
        buffer = buffers[layer]
        if buffer is None:
            shape = (self.rows, new.shape[1], self.capacity + 1, new.shape[3])
            buffer = buffers[layer] = torch.zeros(shape, dtype=new.dtype, device=new.device)
        buffer[step.rows_B[:, None], :, step.at_BT] = new.transpose(1, 2)
        if step.view:
            return buffer[: len(step.rows_B), :, : step.length]
        return buffer[:, :, : step.length].index_select(0, step.rows_B)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens that the longest row held before this forward, as models may ask."""
        return 0 if self._step is None else self._step.length - self._step.at_BT.shape[1]

    def _each(self) -> list[tuple[list[Tensor | None], int, Tensor]]:
        both = (self.keys, self.values)
        return [(side, i, b) for side in both for i, b in enumerate(side) if b is not None]

    def reshape(self, rows: int, capacity: int, keep: Sequence[int]) -> None:
        """New buffers; the rows named in `keep` become rows 0, 1, ... of them."""
        for side, layer, old in self._each():
            shape = (rows, old.shape[1], capacity + 1, old.shape[3])
            fresh = torch.zeros(shape, dtype=old.dtype, device=old.device)
            width = min(self.capacity, capacity)
            fresh[: len(keep), :, :width] = old[list(keep), :, :width]
            side[layer] = fresh
        self.rows, self.capacity = rows, capacity

    def swap(self, one: Sequence[int], other: Sequence[int], width: int) -> None:
        """Exchanges pairs of rows, as far as `width` positions."""
        to, source = [*one, *other], [*other, *one]
        for _, _, buffer in self._each():
            used = buffer[:, :, :width]
            used[to] = used[source]

    def copy_prefix(self, source: int, to: int, width: int) -> None:
        """Gives a row the first `width` positions of another."""
        for _, _, buffer in self._each():
            buffer[to, :, :width] = buffer[source, :, :width]

    def wipe(self, row: int) -> None:
        """Zeroes a row: a NaN left in it would reach through any mask."""
        for _, _, buffer in self._each():
            buffer[row] = 0

    def clear(self) -> None:
        """Forgets everything, buffers included."""
        self.keys = [None] * len(self.keys)
        self.values = [None] * len(self.values)
        self.rows = self.capacity = 0
        self._step = None
