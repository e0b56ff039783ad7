"""`index.jsonl`: one line for each record of an archive's WARC files, looked up by URL.

The lines stay in the file: what is kept in memory is where the latest line of each URL begins.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Lock

from pydantic import Field, ValidationError

from webfarer.store.atomic import write_bytes
from webfarer.store.jsonl import complaint
from webfarer.types import BadInput
from webfarer.types.base import Record
from webfarer.web.archive.warc import Notes, stamp
from webfarer.web.http.canonical import canonical
from webfarer.web.http.exchange import Exchange

Place = tuple[str, int, int]  # of a record: its file, offset and length


class Row(Record):
    """One record of an archive, or a stretch of a WARC file that could not be used (`problem`).

    `url` is canonical. `location` is where a redirect leads, as the server wrote it. `at` is when
    it was fetched (UTC, ISO 8601). `file` is inside the archive's folder, or absolute for a WARC
    file of others that is read where it lies; `offset` and `length` are bytes of it. `digest` is
    the payload's as WARC writes it ("sha1:" and base32), `size` the body's bytes. `body_of` is the
    file, offset and length of the record that has the body, where this one only says "as before".
    """

    url: str = ""
    status: int = 0
    content_type: str = ""
    location: str = ""
    at: str = ""
    file: str
    offset: int
    length: int
    digest: str = ""
    size: int = 0
    truncated: str = ""
    body_of: Place | None = None
    problem: str = ""
    cut: bool = False  # the WARC file ended there: more may follow when it is whole
    notes: Mapping[str, str | int] = Field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where the record lies."""
        return self.file, self.offset, self.length

    @property
    def end(self) -> int:
        return self.offset + self.length

    @property
    def near_duplicate_of(self) -> str:
        """The URL of the page that this one nearly repeats; empty for most."""
        return str(self.notes.get("near_duplicate_of", ""))

    def line(self) -> bytes:
        """The row as it stands in the file; what is as usual is left out."""
        return self.model_dump_json(exclude_defaults=True).encode() + b"\n"


def row_of(exchange: Exchange, place: Place, notes: Notes) -> Row:
    """The row of an exchange that is recorded at that place."""
    file, offset, length = place
    digest = base64.b32encode(hashlib.sha1(exchange.body).digest()).decode()
    return Row(
        url=canonical(exchange.url) or exchange.url,
        status=exchange.status,
        content_type=exchange.content_type,
        location=exchange.location,
        at=stamp(exchange.at),
        file=file,
        offset=offset,
        length=length,
        digest=f"sha1:{digest}",
        size=len(exchange.body),
        notes=dict(notes),
    )


def problem_row(place: Place, reason: str, cut: bool = False) -> Row:
    """The row of bytes that cannot be used."""
    file, offset, length = place
    return Row(file=file, offset=offset, length=length, problem=reason, cut=cut)


class RowFile:
    """The rows in a file: read, looked up, appended. Any number of threads may use it."""

    def __init__(self, path: Path, write: bool = False) -> None:
        """Reads the file; to write, makes it where there is none, and cuts off a last line that was
        torn by a kill. Raises BadInput where it cannot be read, or where another line is no row."""
        self.path = path
        self._lock = Lock()
        self._file = self._opened(os.O_RDWR | os.O_CREAT if write else os.O_RDONLY)
        self._load()
        if write:
            os.ftruncate(self._file, self.size)

    def _opened(self, how: int) -> int:
        try:
            return os.open(self.path, how | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise BadInput(f"cannot read {self.path}: {error.strerror or error}") from error

    def _load(self) -> None:
        self._latest: dict[str, tuple[str, int, int]] = {}  # by URL: when, and the line's place
        self.ends: dict[str, int] = {}  # by WARC file: how far it is indexed
        self.problems: set[Place] = set()
        self.size = 0  # bytes of whole lines
        for row, start, length in self._read():
            self._know(row, start, length)

    def __len__(self) -> int:
        """How many URLs there is a row of."""
        return len(self._latest)

    def __iter__(self) -> Iterator[Row]:
        """The rows that are there now, problems included, in the file's order."""
        return (row for row, _, _ in self._read(self.size))

    def latest(self, url: str) -> Row | None:
        """The row of a URL that was fetched last."""
        found = self._latest.get(url)
        if found is None:
            return None
        _, start, length = found
        return Row.model_validate_json(os.pread(self._file, length, start))

    def urls(self) -> list[str]:
        """The URLs that there is a row of, in the order in which they were first met."""
        with self._lock:
            return list(self._latest)

    def digest(self) -> str:
        """The SHA-256 of the lines that are there now."""
        left, known = self.size, hashlib.sha256()
        with self.path.open("rb") as file:
            while left and (chunk := file.read(min(left, 1 << 20))):
                known.update(chunk)
                left -= len(chunk)
        return known.hexdigest()

    def append(self, row: Row) -> None:
        """Writes the row's line, whole or not at all. Raises OSError where it cannot."""
        line = row.line()
        with self._lock:
            write_at(self._file, line, self.size)
            self._know(row, self.size, len(line))

    def keep(self, wanted: Callable[[Row], bool]) -> int:
        """Takes the rows out that are not wanted; returns how many. Nothing is written for none."""
        kept = [row.line() for row in self if wanted(row)]
        dropped = sum(1 for _ in self) - len(kept)
        if dropped:
            write_bytes(self.path, b"".join(kept))
            self.close()
            self._file = self._opened(os.O_RDWR)
            self._load()
        return dropped

    def sync(self) -> None:
        """Flushes to the disk what was appended."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def _read(self, end: int | None = None) -> Iterator[tuple[Row, int, int]]:
        """Rows with the place and length of their lines, up to a byte or to a torn last line."""
        start = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n") or (end is not None and start >= end):
                    return
                try:
                    row = Row.model_validate_json(line)
                except ValidationError as error:
                    raise BadInput(
                        f"{self.path}:{number}: not a row of an archive: {complaint(error)}; "
                        "remove the file, and it is made again from the WARC files"
                    ) from error
                yield row, start, len(line)
                start += len(line)

    def _know(self, row: Row, start: int, length: int) -> None:
        self.size = start + length
        if not row.cut:
            self.ends[row.file] = max(row.end, self.ends.get(row.file, 0))
        if row.problem:
            self.problems.add((row.file, row.offset, row.length))
        elif row.at >= self._latest.get(row.url, ("", 0, 0))[0]:
            self._latest[row.url] = row.at, start, length


def write_at(file: int, data: bytes, place: int) -> None:
    """Writes all of the data there, or cuts the file off there and raises OSError."""
    try:
        view, at = memoryview(data), place
        while view:
            done = os.pwrite(file, view, at)
            view, at = view[done:], at + done
    except OSError:
        os.ftruncate(file, place)
        raise
