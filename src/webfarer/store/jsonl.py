"""Records as lines of JSON: appended one by one, or written whole.

A process killed while it appends can leave a last line without its end. Reading drops such a line
and says so; appending removes it first, so that it never runs into the next record.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from webfarer.store.atomic import told, write_bytes
from webfarer.types import BadInput

Model = TypeVar("Model", bound=BaseModel)


def read_jsonl(
    path: Path, model: type[Model], torn: Callable[[str], None] | None = None
) -> Iterator[Model]:
    """Yields the file's records in order; empty lines are skipped.

    A last line that has no line end and does not parse was torn by a kill: it is dropped, and
    `torn` (by default a warning) is given one line about it. Raises BadInput on any other line
    that is not such a record, and where the file cannot be read.
    """
    path = Path(path)
    try:
        lines = path.open("rb")
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    with lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            if not line.endswith(b"\n") and not _is_json(line):
                (torn or _warn)(f"{path}:{number}: the last line is torn and was dropped")
                return
            yield _parse(path, number, line, model)


def append_jsonl(path: Path, records: Iterable[BaseModel]) -> None:
    """Appends records and flushes them to the disk; all of them or, on a full disk, none.

    Raises WebfarerError where the disk is full or may not be written.
    """
    path = Path(path)
    data = encode(records)
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            data = _mend(file) + data
            end = file.seek(0, os.SEEK_END)
            try:
                _write_all(file, data)
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise


def write_jsonl(path: Path, records: Iterable[BaseModel]) -> None:
    """Writes the records as one file, whole or not at all; raises as `append_jsonl`."""
    write_bytes(path, encode(records))


def encode(records: Iterable[BaseModel]) -> bytes:
    """The records as lines. The same records give the same bytes."""
    return b"".join(record.model_dump_json().encode() + b"\n" for record in records)


def complaint(error: ValidationError) -> str:
    """The first thing that a validation found, in one line: where and what."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    return " ".join(f"{place}: {what}".removeprefix(": ").split())


def _parse(path: Path, number: int, line: bytes, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        raise BadInput(
            f"{path}:{number}: not a {model.__name__}: {complaint(error)}; mend or remove the line"
        ) from error


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _mend(file: BinaryIO) -> bytes:
    """Cuts a torn last line off; for a whole one that lacks only its line end, gives that."""
    tail = _tail(file)
    if not tail or _is_json(tail):
        return b"\n" if tail else b""
    _warn(f"{file.name}: the last line was torn by an earlier stop and was dropped")
    file.truncate(file.seek(0, os.SEEK_END) - len(tail))
    return b""


def _tail(file: BinaryIO) -> bytes:
    """What follows the file's last line end."""
    position, tail = file.seek(0, os.SEEK_END), b""
    while position and b"\n" not in tail:
        step = min(position, 1 << 16)
        position = file.seek(position - step)
        tail = file.read(step) + tail
    return tail.rpartition(b"\n")[2]


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)
