"""What became of every URL of a crawl: one line each in `crawl.jsonl`, appended when it is through.

A line is written after the archive has the page. A crawl that was killed reads the journal again
and knows what it had; a page in the archive that has no line yet is read from the archive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Self

from pydantic import ValidationError

from webfarer.store.atomic import told, write_bytes
from webfarer.store.jsonl import complaint
from webfarer.types import BadInput
from webfarer.types.base import Record

Outcome = Literal[
    "page",
    "duplicate",  # a page that says what another says: archived, left out of search
    "redirect",
    "missing",  # 404 or 410
    "error",  # any other status without a page
    "forbidden",  # by robots.txt: not asked for
    "other type",  # neither a page nor text: no more than its headers were read
    "rules",  # a robots.txt
    "fault",  # nothing came, or nothing that can be used: `fault` says why
]


class Line(Record):
    """One URL. `links` are what it leads to, of those that the crawl follows; `print` is its
    fingerprint (title, whole, near); `trail` the redirects that led to it."""

    url: str
    depth: int
    outcome: Outcome
    status: int = 0
    size: int = 0
    trail: tuple[str, ...] = ()
    fault: str = ""
    duplicate_of: str = ""
    links: tuple[str, ...] = ()
    print: tuple[int, int, int | None] | None = None


class Journal:
    """The file, open for appending. A last line torn by a kill is cut off when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with told(path):
            self._file: BinaryIO = path.open("a+b")
            self._end = self._whole()
            self._file.truncate(self._end)

    def _whole(self) -> int:
        """Where the last whole line ends."""
        position = self._file.seek(0, 2)
        while position:
            step = min(position, 1 << 16)
            position = self._file.seek(position - step)
            if (found := self._file.read(step).rfind(b"\n")) >= 0:
                return position + found + 1
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @staticmethod
    def forget(path: Path, unwanted: Callable[[Line], bool], *, always: bool) -> None:
        """Takes lines out, so that their URLs are asked for again: `always`, or where no page was
        had so far. Raises as `read`."""
        if not path.exists():
            return
        with Journal(path) as journal:
            lines = (line for _, line in journal.read())
            if not always and any(line.outcome == "page" for line in lines):
                return
            kept = [line for _, line in journal.read() if not unwanted(line)]
        write_bytes(path, b"".join(map(_row, kept)))

    def append(self, lines: list[Line]) -> list[int]:
        """Appends lines and gives the place of each. On a full disk none is kept, and
        WebfarerError is raised."""
        rows = [_row(line) for line in lines]
        with told(self.path):
            try:
                self._file.write(b"".join(rows))
                self._file.flush()
            except OSError:
                self._file.truncate(self._end)
                raise
        places = []
        for row in rows:
            places.append(self._end)
            self._end += len(row)
        return places

    def read(self) -> Iterator[tuple[int, Line]]:
        """Every line with its place. Raises BadInput at one that is none of ours."""
        place = 0
        with self.path.open("rb") as file:
            for row in file:
                yield place, self._parse(row, place)
                place += len(row)

    def at(self, place: int) -> Line:
        """The line at a place."""
        with self.path.open("rb") as file:
            file.seek(place)
            return self._parse(file.readline(), place)

    def _parse(self, row: bytes, place: int) -> Line:
        try:
            return Line.model_validate_json(row)
        except ValidationError as error:
            raise BadInput(
                f"{self.path}, at byte {place}: not a crawl's line: {complaint(error)}; "
                "crawl into another folder"
            ) from error


def _row(line: Line) -> bytes:
    return line.model_dump_json(exclude_defaults=True).encode() + b"\n"
