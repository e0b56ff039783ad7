"""A stage's output as numbered parts, each written whole: killed anywhere, it goes on where it was.

Part 3 is `part-00003.jsonl`, and its token arrays, where it has any, `part-00003.safetensors`,
written first: a part is done when its records are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from webfarer.store.jsonl import read_jsonl, write_jsonl

Model = TypeVar("Model", bound=BaseModel)
_PART = re.compile(r"part-(\d{5,})\.jsonl")


class Parts:
    """The parts in one folder. The folder need not exist before the first part is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def path(self, part: int) -> Path:
        """The file of a part's records."""
        return self.folder / f"part-{part:05d}.jsonl"

    def shard(self, part: int) -> Path:
        """The file of a part's token arrays: written before the records that point into it."""
        return self.path(part).with_suffix(".safetensors")

    def done(self) -> set[int]:
        """The numbers of the parts that are written."""
        if not self.folder.is_dir():
            return set()
        found = (_PART.fullmatch(path.name) for path in self.folder.iterdir())
        return {int(match[1]) for match in found if match}

    def missing(self, total: int) -> list[int]:
        """Which of parts 0 to total - 1 are still to be written, in order."""
        done = self.done()
        return [part for part in range(total) if part not in done]

    def write(self, part: int, records: Iterable[BaseModel]) -> None:
        """Writes a part whole. Raises WebfarerError where the disk is full."""
        write_jsonl(self.path(part), records)

    def read(self, model: type[Model]) -> Iterator[Model]:
        """The records of all parts that are written, by number. Raises BadInput on a bad line."""
        for part in sorted(self.done()):
            yield from read_jsonl(self.path(part), model)
