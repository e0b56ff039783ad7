"""Arrays on disk that are written in one pass and read where they lie.

Each is an ordinary NumPy file, so any program can read it. They are appended to as plain files, not
through a memory map: on a full disk a map kills the process, where a write raises.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
_HELD = 1 << 20  # bytes of text held before they are written


class ArrayWriter:
    """A NumPy file of unknown length, appended to; `width` columns where it has two dimensions."""

    def __init__(self, path: Path, dtype: DTypeLike, width: int | None = None) -> None:
        self._dtype, self._width, self._rows = np.dtype(dtype), width, 0
        self._file = path.open("wb")
        self._header()

    def append(self, rows: Array) -> None:
        """Adds rows. Raises OSError on a full disk."""
        data = np.ascontiguousarray(rows, dtype=self._dtype)
        self._rows += len(data)
        self._file.write(data.data if data.size else b"")

    def close(self) -> None:
        """Writes how many rows there are; the header has room for any number."""
        self._file.seek(0)
        self._header()
        self._file.close()

    def _header(self) -> None:
        shape = (self._rows,) if self._width is None else (self._rows, self._width)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


class TextWriter:
    """A text for each node, in order: UTF-8 in NAME.text.npy, where each ends in NAME.ends.npy."""

    def __init__(self, folder: Path, name: str) -> None:
        self._text = ArrayWriter(folder / f"{name}.text.npy", np.uint8)
        self._ends = ArrayWriter(folder / f"{name}.ends.npy", np.int64)
        self._ends.append(np.zeros(1, np.int64))
        self._held: list[bytes] = []
        self._places: list[int] = []
        self._size = self._flushed = 0

    def append(self, text: bytes) -> None:
        self._size += len(text)
        self._places.append(self._size)
        if text:
            self._held.append(text)
        if self._size - self._flushed > _HELD or len(self._places) > _HELD:
            self._flush()

    def _flush(self) -> None:
        self._text.append(np.frombuffer(b"".join(self._held), np.uint8))
        self._ends.append(np.array(self._places, np.int64))
        self._flushed = self._size
        self._held.clear()
        self._places.clear()

    def close(self) -> None:
        self._flush()
        self._text.close()
        self._ends.close()


@contextmanager
def text_writers(folder: Path, names: list[str]) -> Iterator[dict[str, TextWriter]]:
    """A writer for each name; all are closed, whatever happens."""
    with ExitStack() as stack:
        writers: dict[str, TextWriter] = {}
        for name in names:
            writers[name] = TextWriter(folder, name)
            stack.callback(writers[name].close)
        yield writers


def mapped(path: Path) -> Array:
    """The array in a NumPy file, mapped into memory: nothing is read before it is looked at.

    Raises OSError or ValueError where it is not such a file, or is cut short.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        array = np.load(path, allow_pickle=False)  # an empty array cannot be mapped
        if array.size:
            raise
    where = getattr(array, "_mmap", None)
    if where is not None and hasattr(where, "madvise"):
        where.madvise(mmap.MADV_RANDOM)
    return np.asarray(array)


class Texts:
    """The texts that a `TextWriter` wrote, looked up by node."""

    def __init__(self, folder: Path, name: str) -> None:
        self._text = mapped(folder / f"{name}.text.npy")
        self._ends = mapped(folder / f"{name}.ends.npy")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def raw(self, node: int) -> bytes:
        """The node's text as UTF-8."""
        return self._text[self._ends[node] : self._ends[node + 1]].tobytes()

    def __getitem__(self, node: int) -> str:
        return self.raw(node).decode()
