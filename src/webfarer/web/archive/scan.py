"""WARC files as they are found: read record by record, whatever is broken in between.

Each record of a `.warc.gz` is a gzip member of its own. warcio's reader gives up at the first
broken one; here the next member that begins a WARC record is looked for, and the bytes passed over
are said. A plain `.warc` is read by the lengths that its records give.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from webfarer.types import BadInput
from webfarer.web.archive.warc import LIMIT, BadRecord, Record

_MAGIC = b"\x1f\x8b\x08"
_CHUNK = 1 << 16
_HEAD = 1 << 16  # bytes within which a record's own headers end
_LENGTH = re.compile(rb"\r?\ncontent-length:\s*(\d{1,18})\s*\r?\n", re.IGNORECASE)
_START = b"WARC/"


class Stretch(NamedTuple):
    """Bytes of a file: a record, or bytes that are none, with what is wrong with them.

    `cut` says that the file ends within them.
    """

    offset: int
    length: int
    record: Record | None
    problem: str = ""
    cut: bool = False


def scan(path: Path, start: int = 0) -> Iterator[Stretch]:
    """The stretches of a file from a record's beginning on, in order and without gaps.

    Raises BadInput where the file cannot be read or is no WARC file at all.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_START))
            if head[: len(_MAGIC)] == _MAGIC[: len(head)]:
                yield from _scan_gzip(file, start)
            elif head == _START:
                yield from _scan_plain(file, start)
            else:
                raise BadInput(f"{path} is not a WARC file: give .warc or .warc.gz files")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error


def read_at(path: Path, offset: int, length: int) -> Record:
    """The record that lies there. Raises BadRecord where none does, and OSError."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(length)
    if data[: len(_MAGIC)] == _MAGIC:
        member = _member(_Source(data))
        if member.problem:
            raise BadRecord(member.problem)
        data = member.data
    return Record(data)


# Compressed files


class _Source:
    """Bytes to decompress, from memory or from a file, a chunk at a time."""

    def __init__(self, ahead: bytes = b"", file: BinaryIO | None = None) -> None:
        self.ahead, self._file = ahead, file

    def take(self) -> bytes:
        chunk, self.ahead = self.ahead, b""
        return chunk or (self._file.read(_CHUNK) if self._file else b"")


class _Member(NamedTuple):
    length: int = 0  # compressed bytes
    data: bytes = b""
    problem: str = ""
    endless: bool = False  # whether it has no end: it is broken, or the file ends within it


def _member(source: _Source) -> _Member:
    """Decompresses one gzip member; what is over the limit is passed over, not kept."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS + 16)
    parts: list[bytes] = []
    taken = kept = 0
    while not inflate.eof:
        chunk = inflate.unconsumed_tail
        if not chunk:
            chunk = source.take()
            taken += len(chunk)
        if not chunk:
            return _Member(problem="the file ends within a record", endless=True)
        try:
            part = inflate.decompress(chunk, 1 << 20)
        except zlib.error:
            return _Member(problem="broken gzip member", endless=True)
        kept += len(part)
        if kept <= LIMIT:
            parts.append(part)
    source.ahead = inflate.unused_data
    length = taken - len(source.ahead)
    if kept > LIMIT:
        return _Member(length, problem=f"a record of more than {LIMIT >> 20} MB")
    return _Member(length, b"".join(parts))


def _scan_gzip(file: BinaryIO, start: int) -> Iterator[Stretch]:
    size = file.seek(0, 2)
    file.seek(start)
    source, offset = _Source(file=file), start
    while offset < size:
        member = _member(source)
        if member.endless:
            end = _next_member(file, offset + 1)
            yield Stretch(offset, end - offset, None, member.problem, cut=end == size)
            file.seek(end)
            source, offset = _Source(file=file), end
        else:
            yield _whole(offset, member)
            offset += member.length


def _whole(offset: int, member: _Member) -> Stretch:
    if member.problem:
        return Stretch(offset, member.length, None, member.problem)
    try:
        return Stretch(offset, member.length, Record(member.data))
    except BadRecord as error:
        return Stretch(offset, member.length, None, str(error))


def _next_member(file: BinaryIO, start: int) -> int:
    """Where the next gzip member begins that begins a WARC record; the file's end where none."""
    position, kept = start, b""
    file.seek(start)
    while chunk := file.read(1 << 20):
        window = kept + chunk
        at = window.find(_MAGIC)
        while at >= 0:
            place = position - len(kept) + at
            if _begins_record(file, place):
                return place
            at = window.find(_MAGIC, at + 1)
        position += len(chunk)
        kept = window[-(len(_MAGIC) - 1) :]
        file.seek(position)
    return position


def _begins_record(file: BinaryIO, place: int) -> bool:
    file.seek(place)
    try:
        head = zlib.decompressobj(zlib.MAX_WBITS + 16).decompress(file.read(4096), len(_START))
    except zlib.error:
        return False
    return head == _START


# Plain files


def _scan_plain(file: BinaryIO, start: int) -> Iterator[Stretch]:
    end = file.seek(0, 2)
    offset = start
    while offset < end:
        file.seek(offset)
        head = file.read(_HEAD)
        blank = re.search(rb"\r?\n\r?\n", head)
        size = _LENGTH.search(head, 0, blank.end()) if blank else None
        if not head.startswith(_START) or not blank or not size:
            length = _next_plain(file, offset + 1, end) - offset
            yield Stretch(offset, length, None, "not a WARC record", offset + length == end)
            offset += length
            continue
        length = blank.end() + int(size[1])
        if offset + length > end:
            after = _next_plain(file, offset + 1, end)
            problem = "the file ends within a record"
            yield Stretch(offset, after - offset, None, problem, after == end)
            offset = after
            continue
        length += _blank_lines(file, offset + length)
        yield _plain_record(file, offset, length)
        offset += length


def _plain_record(file: BinaryIO, offset: int, length: int) -> Stretch:
    if length > LIMIT:
        return Stretch(offset, length, None, f"a record of more than {LIMIT >> 20} MB")
    file.seek(offset)
    return _whole(offset, _Member(length, file.read(length)))


def _blank_lines(file: BinaryIO, offset: int) -> int:
    """How many bytes of line ends follow, the record's own: two lines, by the standard."""
    file.seek(offset)
    after = file.read(_HEAD)
    return len(after) - len(after.lstrip(b"\r\n"))


def _next_plain(file: BinaryIO, start: int, end: int) -> int:
    """Where the next line begins that begins a record; the file's end where none does."""
    file.seek(start)
    position, kept = start, b""
    while chunk := file.read(1 << 20):
        window = kept + chunk
        at = window.find(b"\nWARC/1.")
        if at >= 0:
            return position - len(kept) + at + 1
        position += len(chunk)
        kept = window[-8:]
    return end
