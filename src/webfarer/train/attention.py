"""Block-diagonal attention for packed rows, with any Hugging Face causal model.

Three ways, the first that a model proves to compute rightly being used:

1. `documents`: our own attention function, which runs causal `scaled_dot_product_attention` on
   each document's slice. No mask is built and nothing is computed across documents.
2. `positions`: the model's own attention with reset positions, from which transformers builds a
   block-diagonal mask. About half as fast on a CPU.
3. `apart`: one document at a time, for models that know neither (recurrent ones, say).
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from webfarer.algo import entropy as entropy_of
from webfarer.train.pack import Packed, collate
from webfarer.types import Segment

Way = Literal["documents", "positions", "apart"]
_NAME = "webfarer_documents"
_TRIAL = (11, 7)  # tokens in the two documents of a trial
# What some families add to plain causal attention, which slices alone do not give.
_UNKNOWN = ("softcap", "s_aux", "position_bias", "sliding_window")


def choose_way(model: nn.Module) -> Way:
    """The fastest way that gives this model's own results; sets its attention accordingly.

    Each is tried on a packed pair of short documents against the documents apart.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, documents_attention)
    config: Any = model.config
    own = config._attn_implementation
    tries: tuple[tuple[Way, str], ...] = (("documents", _NAME), ("positions", own))
    for way, implementation in tries:
        try:
            model.set_attn_implementation(implementation)  # pyright: ignore[reportCallIssue]
            agrees = _agrees(model, way)
        except Exception:  # a family's own code may raise anything: then this way is not for it
            agrees = False
        if agrees:
            return way
    model.set_attn_implementation(own)  # pyright: ignore[reportCallIssue]
    return "apart"


class Scores(NamedTuple):
    """Of a row's trained tokens, in the distribution after temperature, float32, shape N: their
    log-probabilities and, where asked for, the entropy of the distributions they are from."""

    logprobs_N: Tensor
    entropy_N: Tensor | None = None

    @staticmethod
    def cat(parts: Sequence[Scores]) -> Scores:
        """Those of several parts, one after another."""
        entropies = [part.entropy_N for part in parts if part.entropy_N is not None]
        logprobs_N = torch.cat([part.logprobs_N for part in parts])
        return Scores(logprobs_N, torch.cat(entropies) if entropies else None)


def logprobs(model: nn.Module, row: Packed, way: Way, temperature: float = 1.0) -> Tensor:
    """The first of `scores`."""
    return scores(model, row, way, temperature).logprobs_N


def scores(
    model: nn.Module, row: Packed, way: Way, temperature: float = 1.0, entropy: bool = False
) -> Scores:
    """Those of the row's trained tokens, all of their logits at once.

    Logits are computed at the N places alone, where the model can (`logits_to_keep`): in a web
    agent's trajectory most tokens are observations.
    """
    if way == "apart" and len(row.bounds) > 2:
        found = [scores(model, part, way, temperature, entropy) for part in parts(row)]
        return Scores.cat(found)
    extra = {"cu_seq_lens_q": row.bounds} if way == "documents" else {}
    logits_NV = _logits(model, row, extra)
    return of_logits(logits_NV, row.targets_N, temperature, entropy)


def of_logits(
    logits_NV: Tensor, targets_N: Tensor, temperature: float, entropy: bool = False
) -> Scores:
    """Those of the chosen tokens."""
    logits_NV = logits_NV.float()
    if temperature != 1.0:
        logits_NV = logits_NV / temperature
    if not entropy:
        return Scores(-F.cross_entropy(logits_NV, targets_N, reduction="none"))
    logprobs_NV = logits_NV.log_softmax(dim=-1)
    return Scores(logprobs_NV.gather(1, targets_N[:, None])[:, 0], entropy_of(logprobs_NV))


def documents_attention(
    module: nn.Module,
    query_BHTD: Tensor,
    key_BKTD: Tensor,
    value_BKTD: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Sequence[int] | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """An attention function for transformers' `AttentionInterface`; returns B, T, heads, dim.

    Raises ValueError where it is not told the documents, or a layer asks for more than plain
    causal attention: attending across documents in silence is what must not happen.
    """
    asked = [name for name in _UNKNOWN if kwargs.get(name) is not None]
    if cu_seq_lens_q is None or attention_mask is not None or asked:
        raise ValueError(f"attention by documents cannot do {asked or 'a row without bounds'}")
    pieces = [
        F.scaled_dot_product_attention(
            query_BHTD[:, :, begin:end],
            key_BKTD[:, :, begin:end],
            value_BKTD[:, :, begin:end],
            is_causal=True,
            dropout_p=dropout,
            scale=scaling,
            enable_gqa=query_BHTD.shape[1] != key_BKTD.shape[1],
        )
        for begin, end in pairwise(cu_seq_lens_q)
    ]
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


def _logits(model: nn.Module, row: Packed, extra: dict[str, Any]) -> Tensor:
    arguments = {
        "input_ids": row.tokens_T[None],
        "position_ids": row.positions_T[None],
        "use_cache": False,
        **extra,
    }
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        return model(**arguments, logits_to_keep=row.predict_N).logits[0]
    return model(**arguments).logits[0, row.predict_N]


def parts(row: Packed) -> list[Packed]:
    """Each document of a row that has something trained, as a row of its own."""
    parts = []
    for begin, end in pairwise(row.bounds):
        mine = (row.predict_N >= begin) & (row.predict_N < end)
        if mine.any():
            parts.append(
                Packed(
                    tokens_T=row.tokens_T[begin:end],
                    positions_T=row.positions_T[begin:end],
                    bounds=(0, end - begin),
                    predict_N=row.predict_N[mine] - begin,
                    targets_N=row.targets_N[mine],
                )
            )
    return parts


@torch.no_grad()
def _agrees(model: nn.Module, way: Way) -> bool:
    """Whether two short documents packed get the log-probabilities that they get apart.

    And whether those of the second stay the same whatever the first one says: in a model that has
    learnt nothing yet, a leak is smaller than what rounding may do to the first comparison.
    """
    training = model.training
    model.eval()
    row, other = (_trial(model, first) for first in (13, 14))
    packed_N, other_N = logprobs(model, row, way), logprobs(model, other, way)
    apart_N = _apart(model, row)
    model.train(training)
    second = slice(_TRIAL[0] - 1, None)
    same = torch.allclose(packed_N, apart_N, atol=1e-3, rtol=1e-3)
    return same and torch.allclose(packed_N[second], other_N[second], atol=1e-6, rtol=1e-6)


def _trial(model: nn.Module, first: int) -> Packed:
    """Two documents; `first` chooses the tokens of the first one."""
    config: Any = model.config
    tokens_T = (torch.arange(sum(_TRIAL)) * 7919 + 13) % config.vocab_size
    tokens_T[: _TRIAL[0]] = (torch.arange(_TRIAL[0]) * 104729 + first) % config.vocab_size
    row = collate([_all_trained(part.tolist()) for part in tokens_T.split(_TRIAL)])
    return row.to(next(model.parameters()).device)


def _all_trained(ids: list[int]) -> Segment:
    return Segment("", ids, [1] * len(ids), [0.0] * len(ids))


def _apart(model: nn.Module, row: Packed) -> Tensor:
    """The model's own answer, with attention as transformers writes it out in full."""
    config: Any = model.config
    now = config._attn_implementation
    model.set_attn_implementation("eager")  # pyright: ignore[reportCallIssue]
    try:
        return logprobs(model, row, "apart")
    finally:
        model.set_attn_implementation(now)  # pyright: ignore[reportCallIssue]
