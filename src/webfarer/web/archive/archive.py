"""`Archive`: a folder of WARC files and an index of what is in them.

    archive.json            what this folder is, and of which version
    warc/00001.warc.gz ...  standard WARC 1.1, one gzip member a record, a new file each gigabyte
    index.jsonl             one line a record: URL, status, type, where it lies (`Row`)
    search/                 extracted pages and an index over them, made when first searched

The WARC files are the truth. A record is written whole, then its line; whoever opens the folder
next cuts off what a killed writer left of a last record, and indexes complete records that have no
line: nothing is lost and nothing there twice, wherever the kill fell. WARC files of others are
indexed where they lie and never written to.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from webfarer.store.atomic import told
from webfarer.types import BadInput, FailureError
from webfarer.web.archive import folder as home
from webfarer.web.archive import warc
from webfarer.web.archive.rows import Place, Row, RowFile, problem_row, row_of
from webfarer.web.archive.scan import Stretch, read_at, scan
from webfarer.web.http.canonical import canonical
from webfarer.web.http.exchange import Exchange

_RECORDED = ("response", "resource", "revisit")
Say = Callable[[str], None]


class Added(NamedTuple):
    """What indexing a WARC file brought: records, and stretches that could not be used."""

    records: int = 0
    problems: int = 0


class Archive:
    """What was fetched, by URL: read by any number of threads and processes, written by one.

    `create` gives one to write to, `open` one to read. A context manager, closed at the end.
    """

    def __init__(self, folder: Path, lock: int = -1, *, level: int = warc.LEVEL,
                 file_bytes: int = home.FILE_BYTES) -> None:  # fmt: skip
        """The archive as it lies there; to write, `lock` is the writer's."""
        self.folder = Path(folder)
        self._guard = Lock()
        self._held, self._level = lock, level
        self._out = home.Writer(self.folder / home.WARC, file_bytes) if lock >= 0 else None
        self._digests: dict[str, Place] | None = None
        self._rows = RowFile(self.folder / home.INDEX, write=lock >= 0)

    @classmethod
    def create(cls, folder: Path, say: Say | None = None, *, level: int = warc.LEVEL,
               file_bytes: int = home.FILE_BYTES) -> Archive:  # fmt: skip
        """An archive to write to: made where there is none, else mended and gone on with.

        `say` (by default a warning) is given a line for each thing mended. `level` is zlib's, and a
        new WARC file is begun after `file_bytes`. Raises BadInput where the folder holds something
        else, or another process is writing to it. The lock lasts as long as any process that was
        forked while it was held: start worker processes with the spawn method.
        """
        folder = Path(folder)
        with told(folder):
            home.make(folder)
            lock = home.lock(folder)
        if lock is None:
            raise BadInput(f"{folder} is being written to by another process: wait until it ends")
        return cls._mended(folder, lock, say, level=level, file_bytes=file_bytes)

    @classmethod
    def open(cls, folder: Path, say: Say | None = None) -> Archive:
        """An archive to read. Where nobody is writing, what a killed writer left is mended first.

        Raises BadInput where the folder holds no archive.
        """
        folder = Path(folder)
        home.check(folder)
        try:
            lock = home.lock(folder)
        except OSError:
            lock = None  # a read-only disk
        if lock is None:
            return cls(folder)
        archive = cls._mended(folder, lock, say)
        archive._let_go()
        return archive

    @classmethod
    def _mended(cls, folder: Path, lock: int, say: Say | None, **options: int) -> Archive:
        try:
            archive = cls(folder, lock, **options)
            archive._mend(say or _warn)
        except BaseException:
            os.close(lock)
            raise
        return archive

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """How many URLs there is a record of."""
        return len(self._rows)

    # Reading

    def row(self, url: str) -> Row | None:
        """The latest record of the URL, however it is spelt; None where there is none."""
        known = canonical(url)
        return None if known is None else self._rows.latest(known)

    def rows(self) -> Iterator[Row]:
        """All records, in the order in which they were indexed."""
        return (row for row in self._rows if not row.problem)

    def latest(self) -> Iterator[Row]:
        """The latest record of each URL, by URL: one order, whatever order they were fetched in."""
        for url in sorted(self._rows.urls()):
            if (row := self._rows.latest(url)) is not None:
                yield row

    def problems(self) -> Iterator[Row]:
        """What could not be used of the WARC files, each with its `problem`; not the end of a file
        that was cut and has since been read on."""
        ends = self._rows.ends
        return (
            row for row in self._rows
            if row.problem and not (row.cut and ends.get(row.file, 0) > row.offset)
        )  # fmt: skip

    def digest(self) -> str:
        """The SHA-256 of the index: another whenever a record was added."""
        return self._rows.digest()

    def read(self, row: Row) -> Exchange:
        """What was recorded there. Raises FailureError("web") where it can no longer be read."""
        file, offset, length = row.body_of or (row.file, row.offset, row.length)
        try:
            exchange = read_at(self.folder / file, offset, length).exchange()
        except (OSError, warc.BadRecord) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise FailureError("web", f"{file} cannot be read at {offset}: {reason}") from error
        return replace(exchange, url=row.url)

    # Writing

    def append(self, exchange: Exchange, **notes: str | int) -> Row:
        """Writes what was fetched: a WARC record, then its line in the index.

        `notes` stay with the record and the row. May be called from any thread; compression goes on
        side by side. Raises WebfarerError where the disk is full: the archive is then as before.
        """
        exchange = replace(exchange, at=exchange.at or datetime.now(UTC))
        data = warc.response_record(exchange, notes, self._level)
        with self._guard, told(self.folder):
            if self._out is None:
                raise ValueError("this archive was opened to be read: use Archive.create")
            file, offset = self._out.put(data)
            try:
                row = row_of(exchange, (file, offset, len(data)), notes)
                self._rows.append(row)
            except BaseException:
                self._out.cut(offset)
                raise
        return row

    def record(self, exchange: Exchange) -> None:
        """`append` for those who fetch and want it kept: what a live web calls for every hop."""
        self.append(exchange)

    def add(self, path: Path, say: Say | None = None) -> Added:
        """Indexes a WARC file of others where it lies; goes on where an earlier call stopped.

        `say` (by default a warning) is given a line for each stretch that cannot be used. Raises
        BadInput where it cannot be read or is no WARC file.
        """
        path = Path(path).resolve()
        own = path.is_relative_to((self.folder / home.WARC).resolve())
        return Added() if own else self._index(str(path), say or _warn)

    def close(self) -> None:
        """Flushes to the disk what was written, and lets the next writer in."""
        with told(self.folder):
            self._let_go()
        self._rows.close()

    def _let_go(self) -> None:
        """Ends writing; reading goes on."""
        if self._out is not None:
            self._out.close()
            self._rows.sync()
            os.close(self._held)
        self._out, self._held = None, -1

    # Indexing and mending

    def _mend(self, say: Say) -> None:
        """Makes the index say what is in our own WARC files, and these end with a whole record."""
        sizes = {
            f"{home.WARC}/{path.name}": path.stat().st_size for path in home.own_files(self.folder)
        }
        own = f"{home.WARC}/"
        lost = self._rows.keep(
            lambda row: not row.file.startswith(own) or row.end <= sizes.get(row.file, 0)
        )
        if lost:
            say(f"{self.folder}: {lost} records were indexed that are no longer in its WARC files")
        for file in sizes:
            added = self._index(file, say, own=True)
            if added.records:
                say(f"{self.folder}: {added.records} records of {file} were indexed again")

    def _index(self, file: str, say: Say, own: bool = False) -> Added:
        """Rows for what follows the last row of a file; of our own, a torn end is cut off."""
        path = self.folder / file
        records = problems = 0
        for found in scan(path, self._rows.ends.get(file, 0)):
            if found.cut and own:
                say(f"{path}: {found.length} bytes of an unfinished record were cut off")
                with told(path):
                    os.truncate(path, found.offset)
                break
            row = self._row_of(file, found)
            if row is None:
                continue
            if row.place not in self._rows.problems:  # a file may still be cut where it was
                with told(self.folder):
                    self._rows.append(row)
            if row.problem:
                say(f"{path}: at byte {row.offset}: {row.problem}")
            records, problems = records + (not row.problem), problems + bool(row.problem)
        return Added(records, problems)

    def _row_of(self, file: str, found: Stretch) -> Row | None:
        """The row of a stretch; None for records that are of no page (requests, metadata)."""
        record, place = found.record, (file, found.offset, found.length)
        if record is None:
            return problem_row(place, found.problem, cut=found.cut)
        if record.kind not in _RECORDED or not record.url.lower().startswith("http"):
            return None
        try:
            body_of = self._original(record) if record.kind == "revisit" else None
            whole = read_at(self.folder / body_of[0], *body_of[1:]) if body_of else record
            row = row_of(whole.exchange(), place, record.notes)
        except (warc.BadRecord, OSError) as error:
            return problem_row(place, f"{record.url}: {error}")
        url = canonical(record.url)
        if url is None:
            return problem_row(place, f"{record.url}: not an address")
        digest = record.header("WARC-Payload-Digest") or row.digest
        truncated = record.header("WARC-Truncated")
        update = {"url": url, "at": record.at, "digest": digest, "truncated": truncated,
                  "body_of": body_of}  # fmt: skip
        row = row.model_copy(update=update)
        if self._digests is not None:
            self._digests.setdefault(digest, body_of or place)
        return row

    def _original(self, record: warc.Record) -> Place:
        """Where the record lies that a revisit says to be as before."""
        if self._digests is None:
            self._digests = {}
            for row in self.rows():
                self._digests.setdefault(row.digest, row.body_of or row.place)
        found = self._digests.get(record.header("WARC-Payload-Digest"))
        if found is None:
            row = self.row(record.header("WARC-Refers-To-Target-URI"))
            found = row and (row.body_of or row.place)
        if found is None:
            raise warc.BadRecord("a revisit of a record that is not here: index its file first")
        return found


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)
