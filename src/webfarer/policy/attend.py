"""Attention over a `SlotCache`'s rows, as an attention function of transformers.

The models' own way reads as far as the longest sequence for every one of them, gathers the rows of
a pre-fill and pads them to one length. Here the new tokens of all sequences lie in one row without
padding, and each `Span` of them reads its own rows as far as those go. The rows of sequences that
are one token further are neighbours of similar length (`Slots.arrange`), so a few spans do for all.

On a CPU keys and values are kept in float32 whatever the model's type: attention over bfloat16 is
slower there, and less exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere
from transformers import AttentionInterface, PreTrainedModel

_NAME = "webfarer_spans"
_SPANS = 8  # calls that one more token of many sequences is split into
_ROWS = 8  # rows in a call at least
# What some families add to plain causal attention, which spans do not give.
_UNKNOWN = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True, slots=True)
class Span:
    """Some of a forward's new tokens and the rows they read, as far as `length`.

    Either one token of each of the rows, or several of a single row. `mask` says what each sees,
    (n, 1, 1, length) or (T, length); None is all of it, or for several tokens, those before.
    """

    tokens: slice
    rows: slice
    length: int
    mask: Tensor | None

    @property
    def single(self) -> bool:
        """Whether it is several tokens of one row."""
        return self.rows.stop - self.rows.start == 1


def share(rows: int) -> int:
    """How many neighbouring rows, of so many, one call of attention takes together."""
    return max(_ROWS, -(-rows // _SPANS))


def spans(rows_B: np.ndarray, start_B: np.ndarray, end_B: np.ndarray) -> list[Span]:
    """The spans of a forward that takes rows_B from start_B to end_B, packed in that order."""
    n = len(rows_B)
    if (end_B - start_B == 1).all() and (rows_B == np.arange(n)).all():
        size = share(n)
        return [_step(end_B[at : at + size], at) for at in range(0, n, size)]
    bounds = np.concatenate([[0], np.cumsum(end_B - start_B)]).tolist()
    each = zip(rows_B.tolist(), start_B.tolist(), end_B.tolist(), strict=True)
    return [_piece(*one, bounds[b]) for b, one in enumerate(each)]


def _step(end_B: np.ndarray, at: int) -> Span:
    """One token of each of the rows from `at` on."""
    rows, length = slice(at, at + len(end_B)), int(end_B.max())
    if (end_B == length).all():
        return Span(rows, rows, length, None)
    mask = torch.arange(length) < torch.from_numpy(end_B)[:, None]
    return Span(rows, rows, length, mask[:, None, None])


def _piece(row: int, start: int, end: int, at: int) -> Span:
    """Tokens `start` to `end` of one row, which lie at `at` in the forward."""
    tokens = slice(at, at + end - start)
    if not start or end - start == 1:
        return Span(tokens, slice(row, row + 1), end, None)
    mask = torch.ones(end - start, end, dtype=torch.bool).tril_(start)
    return Span(tokens, slice(row, row + 1), end, mask)


def attend(
    module: nn.Module,
    query_1HND: Tensor,
    key_RKTD: Tensor,
    value_RKTD: Tensor,
    attention_mask: Tensor | None,
    *,
    spans: Sequence[Span] | None = None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of N packed tokens over the cache's rows R; returns (1, N, heads, head_dim).

    Raises ValueError where a layer asks for more than plain causal attention.
    """
    asked = [name for name in _UNKNOWN if kwargs.get(name) is not None]
    if spans is None or attention_mask is not None or asked:
        raise ValueError(f"attention by spans cannot do {asked or 'a forward without spans'}")
    query_NHD = query_1HND[0].transpose(0, 1)
    out_NHD = over_spans(query_NHD, key_RKTD, value_RKTD, spans, scaling)
    return out_NHD[None], None


def over_spans(
    query_NHD: Tensor,
    key_RKTD: Tensor,
    value_RKTD: Tensor,
    spans: Sequence[Span],
    scale: float | None,
) -> Tensor:
    """Attention (N, heads, head_dim), each span's tokens reading its rows."""
    query_NHD, kind = query_NHD.to(key_RKTD.dtype), query_NHD.dtype
    outs = [
        _attend(
            query_NHD[span.tokens],
            key_RKTD[span.rows, :, : span.length],
            value_RKTD[span.rows, :, : span.length],
            span,
            scale,
        )
        for span in spans
    ]
    return (outs[0] if len(outs) == 1 else torch.cat(outs)).to(kind)


def _attend(
    query_NHD: Tensor, key_BKTD: Tensor, value_BKTD: Tensor, span: Span, scale: float | None
) -> Tensor:
    """One call: a single new token's heads that share a key stand as its queries."""
    n, heads, _ = query_NHD.shape
    grouped = heads != key_BKTD.shape[1]
    if span.single and n > 1:
        out_1HND = F.scaled_dot_product_attention(
            query_NHD.transpose(0, 1)[None],
            key_BKTD,
            value_BKTD,
            span.mask,
            is_causal=span.mask is None,
            scale=scale,
            enable_gqa=grouped,
        )
        return out_1HND[0].transpose(0, 1)
    query_BKGD = query_NHD.unflatten(1, (key_BKTD.shape[1], -1))
    out_BKGD = F.scaled_dot_product_attention(
        query_BKGD, key_BKTD, value_BKTD, span.mask, scale=scale
    )
    return out_BKGD.flatten(1, 2)


@contextmanager
def attending(model: PreTrainedModel) -> Iterator[None]:
    """The model attends by spans for a while: others may be using it in its own way."""
    config = model.config
    own = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = own


AttentionInterface.register(_NAME, attend)
