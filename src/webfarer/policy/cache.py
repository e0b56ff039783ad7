"""`SlotCache`: one row of keys and values for each sequence, kept across turns.

Every layer holds two buffers [rows, kv_heads, capacity + 1, head_dim]. Rows are ragged: each token
is written where the step says, so that sequences of any length decode in one batch, and nothing is
moved when one of them leaves. The models' own forward runs over it, as over any `transformers`
cache, in one of two ways:

- packed: all new tokens in one row without padding, read by spans (`webfarer.policy.attend`);
- padded: a row for each sequence and a mask, for models that attend in a way of their own. The
  last column is scratch for the padding. A batch over rows 0..n-1 reads a view; any other choice
  of rows is gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Cache

from webfarer.policy.attend import Span, spans


@dataclass(frozen=True, slots=True)
class Step:
    """A forward over the new tokens of B sequences, laid out (B, T) padded or (1, N) packed.

    `which` and `at` say of each token whose it is and its position; `last_B` is where each
    sequence's last token lies among the packed ones.
    """

    which: np.ndarray
    at: np.ndarray
    last_B: np.ndarray
    rows: Tensor  # of each token
    write: Tensor  # its place in the row
    length: int  # of the longest row, with its new tokens
    gather: Tensor | None  # the rows to read, where they are not 0..B-1
    spans: list[Span] | None


class SlotCache(Cache):
    """Buffers that appear with the first forward and grow by `reshape`; none until then."""

    def __init__(self, layers: int, device: torch.device, *, packed: bool) -> None:
        super().__init__(layers=[])
        self.device = device
        self.packed = packed
        self.rows = 0
        self.capacity = 0
        self.keys = [_Buffer() for _ in range(layers)]
        self.values = [_Buffer() for _ in range(layers)]
        self._step: Step | None = None

    def begin(self, rows_B: np.ndarray, start_B: np.ndarray, end_B: np.ndarray) -> Step:
        """Says where the next forward writes: in each row, the tokens from start to end."""
        if self.packed:
            count_B = end_B - start_B
            which_N = np.repeat(np.arange(len(rows_B)), count_B)
            last_B = np.cumsum(count_B) - 1
            at_N = np.arange(len(which_N)) - (last_B - end_B + 1)[which_N]
            which, at, write = which_N[None], at_N[None], at_N[None]
            gather, cut = None, spans(rows_B, start_B, end_B)
        else:
            at = start_B[:, None] + np.arange((end_B - start_B).max())
            real = at < end_B[:, None]
            write = np.where(real, at, self.capacity)
            at = np.where(real, at, end_B[:, None] - 1)
            which, last_B = np.broadcast_to(np.arange(len(at))[:, None], at.shape), at[:, -1] * 0
            is_view = (rows_B == np.arange(len(rows_B))).all()
            gather, cut = None if is_view else self._tensor(rows_B), None
        rows, write = self._tensor(rows_B[which]), self._tensor(write)
        self._step = Step(which, at, last_B, rows, write, int(end_B.max()), gather, cut)
        return self._step

    @property
    def step(self) -> Step:
        """The forward that was begun last."""
        assert self._step is not None
        return self._step

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def sight(self, dtype: torch.dtype) -> dict[str, Any]:
        """What tells the model what each token sees: spans, or an additive mask (B, 1, T, length)
        by which a token sees the positions up to its own."""
        step = self.step
        if step.spans is not None:
            return {"attention_mask": None, "spans": step.spans}
        seen = torch.arange(step.length, device=self.device) <= step.write[:, None, :, None]
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return {"attention_mask": mask.masked_fill_(~seen, torch.finfo(dtype).min)}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes (B, kv_heads, T, head_dim) and returns the rows' keys and values so far."""
        keys, values = self.write(
            layer_idx, key_states.transpose(1, 2), value_states.transpose(1, 2)
        )
        if self.step.spans is not None:
            return keys, values
        return self._read(keys), self._read(values)

    def write(self, layer: int, key_BTKD: Tensor, value_BTKD: Tensor) -> tuple[Tensor, Tensor]:
        """Writes the step's keys and values, head after head; returns all that the layer holds."""
        pair = (self.keys[layer], key_BTKD), (self.values[layer], value_BTKD)
        keys, values = (self._put(buffer, new_BTKD) for buffer, new_BTKD in pair)
        return keys, values

    def _put(self, buffer: _Buffer, new_BTKD: Tensor) -> Tensor:
        held = buffer.held
        if held is None:
            exact = self.packed and new_BTKD.device.type == "cpu"
            kind = torch.float32 if exact else new_BTKD.dtype
            held = buffer.make(self.rows, self.capacity, new_BTKD, kind)
        held[self.step.rows, :, self.step.write] = new_BTKD.to(held.dtype)
        return held

    def _read(self, held: Tensor) -> Tensor:
        """The step's rows as far as the longest goes."""
        step = self.step
        if step.gather is None:
            return held[: len(step.at), :, : step.length]
        return held[:, :, : step.length].index_select(0, step.gather)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens that the longest row held before this forward, as models may ask."""
        return 0 if self._step is None else self._step.length - self._step.at.shape[1]

    def _each(self) -> list[_Buffer]:
        return [*self.keys, *self.values]

    def reshape(self, rows: int, capacity: int, keep: Sequence[int]) -> None:
        """Other sizes; the rows named in `keep` become rows 0, 1, ... of them."""
        for buffer in self._each():
            buffer.reshape(rows, capacity, list(keep))
        self.rows, self.capacity = rows, capacity

    def move(self, to_M: np.ndarray, source_M: np.ndarray, width_M: np.ndarray) -> None:
        """Row source[i] becomes row to[i], all at once, as far as width[i] positions."""
        for buffer in self._each():
            if buffer.held is not None:
                _move(buffer.held, to_M, source_M, width_M)

    def copy_prefix(self, source: int, to: int, width: int) -> None:
        """Gives a row the first `width` positions of another."""
        for buffer in self._each():
            if buffer.held is not None:
                buffer.held[to, :, :width] = buffer.held[source, :, :width]

    def wipe(self, row: int) -> None:
        """Zeroes a row: a NaN left in it would reach through any mask."""
        for buffer in self._each():
            if buffer.held is not None:
                buffer.held[row] = 0

    @torch.inference_mode()
    def clear(self, *, free: bool = False) -> None:
        """Forgets everything. The memory is zeroed and kept for what comes, unless `free`."""
        for buffer in self._each():
            buffer.clear(free=free)
        self.rows = self.capacity = 0
        self._step = None


class _Buffer:
    """One layer's keys or values, over memory that is zero wherever `held` does not reach.

    Getting fresh memory from the system costs more than zeroing one's own.
    """

    def __init__(self) -> None:
        self.held: Tensor | None = None
        self._memory: Tensor | None = None

    def make(self, rows: int, capacity: int, like: Tensor, dtype: torch.dtype) -> Tensor:
        """Zeroes for rows of `capacity`, with the heads (last but one) and device of `like`."""
        shape = (rows, like.shape[-2], capacity + 1, like.shape[-1])
        size, memory = int(np.prod(shape)), self._memory
        if memory is None or len(memory) < size or memory.dtype != dtype:
            self._memory = memory = None
            self._memory = memory = torch.zeros(size, dtype=dtype, device=like.device)
        self.held = memory[:size].view(shape)
        return self.held

    def reshape(self, rows: int, capacity: int, keep: list[int]) -> None:
        old = self.held
        if old is None:
            return
        width = min(old.shape[2] - 1, capacity)
        kept = old[keep, :, :width]
        old.zero_()
        self.held = None
        fresh = self.make(rows, capacity, old.transpose(1, 2), old.dtype)
        fresh[: len(keep), :, :width] = kept

    def clear(self, *, free: bool) -> None:
        if free:
            self._memory = None
        elif self.held is not None:
            self.held.zero_()
        self.held = None


def _move(held: Tensor, to_M: np.ndarray, source_M: np.ndarray, width_M: np.ndarray) -> None:
    if held.device.type != "cpu":  # few launches matter more than few bytes
        used = held[:, :, : int(width_M.max())]
        used[torch.from_numpy(to_M)] = used[torch.from_numpy(source_M)]
        return
    widths = width_M.tolist()
    rows = [held[r, :, :w].clone() for r, w in zip(source_M.tolist(), widths, strict=True)]
    for to, width, row in zip(to_M.tolist(), widths, rows, strict=True):
        held[to, :, :width] = row
