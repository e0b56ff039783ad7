"""An archive's folder: what it says that it is, who may write to it, its own WARC files."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from webfarer.store.atomic import write_json
from webfarer.types import BadInput
from webfarer.web.archive.rows import write_at
from webfarer.web.archive.warc import info_record

INDEX, WARC = "index.jsonl", "warc"
FILE_BYTES = 1_000_000_000  # after which a new WARC file is begun
_FORMAT, _VERSION = "webfarer archive", 1
_ABOUT = "archive.json"
_OURS = {WARC, f".{_ABOUT}.aside"}  # what a kill leaves of one in the making
_MADE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def is_archive(folder: Path) -> bool:
    """Whether the folder says that it holds an archive."""
    return (Path(folder) / _ABOUT).is_file()


def make(folder: Path) -> None:
    """Makes the folder an archive's, if it is none. Raises BadInput where something else is in the
    way."""
    if not (folder / _ABOUT).exists():
        _check_free(folder)
        (folder / WARC).mkdir(parents=True, exist_ok=True)
        write_json(folder / _ABOUT, {"format": _FORMAT, "version": _VERSION})
    check(folder)


def check(folder: Path) -> None:
    """Raises BadInput where the folder holds no archive that this version reads."""
    try:
        about = json.loads((folder / _ABOUT).read_bytes())
        known = about["format"] == _FORMAT
        version = about["version"]
    except (OSError, ValueError, KeyError, TypeError):
        known, version = False, 0
    if not known:
        raise BadInput(f"{folder} holds no archive: make one with webfarer web crawl or web index")
    if version != _VERSION:
        raise BadInput(f"{folder} is an archive of version {version}; this Webfarer reads version "
                       f"{_VERSION}")  # fmt: skip


def _check_free(folder: Path) -> None:
    """Raises BadInput where something else is in the way."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file where a folder is to be: choose another folder")
    if folder.is_dir() and {path.name for path in folder.iterdir()} - _OURS:
        raise BadInput(f"{folder} holds something that is no archive: choose another folder")


def lock(folder: Path) -> int | None:
    """The writer's lock, which the system takes back when the process dies; None where taken."""
    held = os.open(folder / ".lock", _MADE, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held


def own_files(folder: Path) -> list[Path]:
    """Our own WARC files, in order."""
    return sorted((folder / WARC).glob("[0-9][0-9][0-9][0-9][0-9].warc.gz"))


class Writer:
    """The WARC file that is being written; the next one when it is full."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._file, self._name, self._size = -1, "", 0

    def put(self, data: bytes) -> tuple[str, int]:
        """Writes a record, whole or not at all; returns the file's name and the offset."""
        if self._file < 0 or self._size >= self._limit:
            self._next()
        offset = self._size
        write_at(self._file, data, offset)
        self._size += len(data)
        return f"{WARC}/{self._name}", offset

    def cut(self, offset: int) -> None:
        """Takes back what was written from there on."""
        os.ftruncate(self._file, offset)
        self._size = offset

    def close(self) -> None:
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
        self._file = -1

    def _next(self) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        *_, last = [None, *own_files(self._folder.parent)]
        number = int(last.name[:5]) if last else 1
        full = last is not None and last.stat().st_size >= self._limit
        self._name = f"{number + full:05d}.warc.gz"
        file = os.open(self._folder / self._name, _MADE, 0o644)
        self._size = os.fstat(file).st_size
        if not self._size:
            head = info_record(self._name)
            try:
                write_at(file, head, 0)
            except OSError:
                os.close(file)
                raise
            self._size = len(head)
        self._file = file
