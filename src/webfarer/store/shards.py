"""Token arrays in binary shards (safetensors), which the records point into.

A shard holds many segments end to end: ids (int32), mask (uint8), logprobs (float32; NaN where a
token was written and not sampled), versions (int32; the policy version that sampled a token, -1
where none did), and the offsets (int64) at which they begin. Its metadata carries the SHA-256 of
the tokenizer, so that ids are never read as another tokenizer's. No torch is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from webfarer.store.atomic import write_bytes
from webfarer.types import BadInput, Segment, SegmentRef

# One entry of metadata and no more: several are written in an order that differs from run to run.
_FORMAT = "webfarer-shard-2"
_ARRAYS = {"ids": np.int32, "mask": np.uint8, "logprobs": np.float32, "versions": np.int32}


def write_shard(
    path: Path, segments: Sequence[Segment], root: Path | None = None
) -> list[SegmentRef]:
    """Writes the segments as one shard, whole, and returns a reference to each, in order.

    References name the shard relative to `root` (by default the shard's own folder). No segments,
    no file. Raises ValueError where a segment's lengths disagree, its mask is not 0 or 1, or
    tokenizers mix; WebfarerError where the disk is full.
    """
    path = Path(path)
    if not segments:
        return []
    for segment in segments:
        _check(segment, segments[0].tokenizer)
    arrays = {
        name: np.concatenate([np.asarray(getattr(s, name), kind) for s in segments])
        for name, kind in _ARRAYS.items()
    }
    arrays["offsets"] = np.asarray([0, *accumulate(map(len, segments))], np.int64)
    tokenizer = segments[0].tokenizer
    write_bytes(path, save(arrays, metadata={_FORMAT: tokenizer}))
    name = path.relative_to(root).as_posix() if root else path.name
    return [
        SegmentRef(shard=name, row=row, length=len(segment), tokenizer=tokenizer)
        for row, segment in enumerate(segments)
    ]


def read_segment(root: Path, ref: SegmentRef) -> Segment:
    """The segment a reference points to; raises as `Shard` does. For many, use `Shards`."""
    return Shards(root).read(ref)


class Shards:
    """Reads references relative to a folder; each shard is opened once and mapped, not loaded."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._open: dict[str, Shard] = {}

    def read(self, ref: SegmentRef) -> Segment:
        """The segment. Raises BadInput where the shard is another's: tokenizer, row, length."""
        if ref.shard not in self._open:
            self._open[ref.shard] = Shard(self.root / ref.shard)
        shard = self._open[ref.shard]
        shard.expect(ref.tokenizer)
        segment = shard.segment(ref.row)
        if len(segment) != ref.length:
            raise BadInput(
                f"{shard.path}: row {ref.row} has {len(segment)} tokens where the record says "
                f"{ref.length}: records and shard are of different runs"
            )
        return segment


class Shard:
    """One shard, mapped into memory. Raises BadInput where the file is absent, torn or foreign."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise BadInput(f"no shard {self.path}: the records point to a file that is not there")
        try:
            self._file: Any = safe_open(str(self.path), framework="numpy")
        except (OSError, SafetensorError) as error:
            raise BadInput(
                f"{self.path} is not a readable shard ({error}): make it again"
            ) from error
        metadata = self._file.metadata() or {}
        if any(key.startswith("webfarer-shard-") for key in metadata.keys() - {_FORMAT}):
            raise BadInput(f"{self.path} is a shard of another version of Webfarer: make it again")
        if _FORMAT not in metadata:
            raise BadInput(f"{self.path} is a safetensors file but not a shard of token arrays")
        self.tokenizer: str = metadata[_FORMAT]

    def expect(self, tokenizer: str) -> None:
        """Raises BadInput where the shard's ids are those of another tokenizer."""
        if self.tokenizer != tokenizer:
            raise BadInput(
                f"{self.path} was written with tokenizer {self.tokenizer[:12]}, not "
                f"{tokenizer[:12]}: use the model it was made for, or make it again"
            )

    @cached_property
    def _offsets(self) -> np.ndarray:
        return self._file.get_tensor("offsets")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def segment(self, row: int) -> Segment:
        """One row, read from the map. Raises BadInput where there is no such row."""
        if not 0 <= row < len(self):
            raise BadInput(f"{self.path} has {len(self)} rows, and row {row} was asked for")
        begin, end = int(self._offsets[row]), int(self._offsets[row + 1])
        arrays = (self._file.get_slice(name)[begin:end].tolist() for name in _ARRAYS)
        return Segment(self.tokenizer, *arrays)


def _check(segment: Segment, tokenizer: str) -> None:
    lengths = {name: len(getattr(segment, name)) for name in _ARRAYS}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"a segment has {', '.join(f'{size} {name}' for name, size in lengths.items())}"
        )
    if not set(segment.mask) <= {0, 1}:
        raise ValueError("a mask holds something other than 0 and 1")
    if segment.tokenizer != tokenizer:
        raise ValueError(
            f"segments of tokenizers {tokenizer[:12]} and {segment.tokenizer[:12]} in one shard"
        )
