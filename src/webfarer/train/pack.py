"""Packing: several segments end to end in one row, each seeing only itself.

Every segment keeps its own positions and its own causal attention, so a packed row gives the
gradients of its segments trained apart (Krell et al. 2021). Rows are not padded: a row is as long
as what it holds. Which segments meet in a row, and the order of rows, are keyed by (seed, epoch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from webfarer.types import BadInput, Segment, random_for

# Documents are shuffled, then packed by decreasing length within windows of this many: large
# enough to fill rows well, small enough that each epoch mixes other documents.
WINDOW = 128

Row = tuple[int, ...]


def pack(lengths: Sequence[int], length: int, seed: int, epoch: int) -> list[Row]:
    """Rows of indices into `lengths`, none with more than `length` tokens, for one epoch.

    First-fit decreasing within shuffled windows. Documents longer than a row are left out; see
    `too_long`. The same arguments give the same rows.
    """
    order = [index for index, size in enumerate(lengths) if size <= length]
    random = random_for("pack", seed, epoch)
    random.shuffle(order)
    rows: list[Row] = []
    for begin in range(0, len(order), WINDOW):
        rows.extend(_first_fit(order[begin : begin + WINDOW], lengths, length))
    random.shuffle(rows)
    return rows


def too_long(lengths: Sequence[int], length: int) -> int:
    """How many documents no row can hold: they are dropped and counted, never cut."""
    return sum(size > length for size in lengths)


def _first_fit(window: Sequence[int], lengths: Sequence[int], length: int) -> list[Row]:
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(window, key=lambda index: -lengths[index]):
        fits = next((row for row, left in enumerate(room) if lengths[index] <= left), None)
        if fits is None:
            rows.append([])
            room.append(length)
            fits = -1
        rows[fits].append(index)
        room[fits] -= lengths[index]
    return [tuple(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Packed:
    """One row as tensors: T tokens of which N are trained.

    `bounds` are the offsets at which documents begin, and T. `predict_N` are the places whose
    next token is trained, `targets_N` those tokens; no place looks beyond its own document.
    """

    tokens_T: Tensor
    positions_T: Tensor
    bounds: tuple[int, ...]
    predict_N: Tensor
    targets_N: Tensor

    def to(self, device: torch.device) -> Packed:
        return Packed(
            self.tokens_T.to(device),
            self.positions_T.to(device),
            self.bounds,
            self.predict_N.to(device),
            self.targets_N.to(device),
        )


def collate(segments: Sequence[Segment]) -> Packed:
    """Puts segments end to end."""
    bounds = (0, *accumulate(len(segment) for segment in segments))
    tokens_T = torch.tensor([token for segment in segments for token in segment.ids])
    mask_T = torch.tensor([bit for segment in segments for bit in segment.mask], dtype=torch.bool)
    mask_T[list(bounds[:-1])] = False  # nothing comes before a document's first token
    targets = mask_T.nonzero()[:, 0]
    return Packed(
        tokens_T=tokens_T,
        positions_T=torch.cat([torch.arange(len(segment)) for segment in segments]),
        bounds=bounds,
        predict_N=targets - 1,
        targets_N=tokens_T[targets],
    )


def trained_tokens(segment: Segment) -> int:
    """How many of a segment's tokens are predicted: those with mask 1, but never the first."""
    return sum(segment.mask[1:])


def check_segments(segments: Sequence[Segment], tokenizer: str) -> None:
    """Raises BadInput where there is nothing to learn from, or the ids are another tokenizer's."""
    if not segments:
        raise BadInput("no segments to train on: the training set is empty")
    for number, segment in enumerate(segments):
        if segment.tokenizer != tokenizer:
            raise BadInput(
                f"segment {number} was tokenised with {segment.tokenizer[:12]}, the model's "
                f"tokenizer is {tokenizer[:12]}: render the training set for this model"
            )
        if not len(segment.ids) == len(segment.mask):
            raise BadInput(
                f"segment {number} has {len(segment.ids)} ids and {len(segment.mask)} mask"
            )
        if trained_tokens(segment) == 0:
            raise BadInput(
                f"segment {number} has a mask of zeros: there is nothing to learn from it"
            )
