"""Files written whole or not at all: aside, flushed to the disk, renamed into place.

A process killed at any moment leaves the old file or the new one, never a piece of either. A full
disk is told in one line; the unfinished piece is removed and what was there before stays.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from webfarer.types import WebfarerError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns an operating system's refusal to write `path` into one line (WebfarerError)."""
    try:
        yield
    except WebfarerError:
        raise
    except Exception as error:
        code = _code(error)
        if code is None:
            raise
        if code in _FULL:
            raise WebfarerError(
                f"no space left on the disk while writing {path}: make room and run the same "
                "command again; nothing already written is lost"
            ) from error
        raise WebfarerError(f"cannot write {path}: {os.strerror(code)}") from error


def _code(error: Exception) -> int | None:
    """The system's error number; libraries written in Rust give it in their message alone."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def aside(path: Path) -> Path:
    """Where a file or folder is built before it is renamed to `path`: hidden, beside it.

    The name is always the same, so what a killed process left is overwritten by the next.
    """
    return path.with_name(f".{path.name}.aside")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write to; on success it is flushed and renamed to `path`, else removed."""
    path = Path(path)
    temporary = aside(path)
    with told(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file whole. Raises WebfarerError where the disk is full or may not be written."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes a text whole, as UTF-8, its line ends as they are; raises as `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes JSON whole, indented, its keys in the order given; raises as `write_bytes`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder to fill; on success it takes the place of `path`, else it is removed.

    A folder that was there before is kept until the new one is complete. Two renames are needed
    to replace one: where a process died between them, the next call puts the old one back.
    """
    path = Path(path)
    building, old = aside(path), path.with_name(f".{path.name}.old")
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        recover(path)
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        try:
            yield building
            for item in sorted(building.rglob("*")):
                _flush(item)
            if path.exists():
                path.rename(old)
            building.rename(path)
            _flush(path.parent)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            recover(path)
            raise
        shutil.rmtree(old, ignore_errors=True)


def recover(path: Path) -> None:
    """Puts back the folder that a killed `folder(path)` had moved away, if it did."""
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
