"""One share of an archive's pages, extracted by a process of its own.

    python -m webfarer.web.archive.extracting PARENT ARCHIVE ROWS OUT

A plain child, not one of Python's pools: it starts without importing the program that asked, and
ends soon after that process (PARENT), however it died.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from webfarer.store.atomic import told
from webfarer.types import WebfarerError
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.pages import extract_rows
from webfarer.web.archive.rows import Row


def _while_wanted(todo: Path, parent: int) -> Iterator[Row]:
    """The rows, for as long as the one who asked is there."""
    for line in todo.read_bytes().splitlines():
        if os.getppid() != parent:
            sys.exit(1)
        yield Row.model_validate_json(line)


def main(parent: str, folder: str, todo: str, part: str) -> None:
    """Extracts the pages of the rows in one file to another. An error of ours is one line."""
    try:
        with told(Path(part)):
            extract_rows(Archive(Path(folder)), _while_wanted(Path(todo), int(parent)), Path(part))
    except WebfarerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
