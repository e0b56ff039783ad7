"""An archive's pages, extracted once and kept beside it, with a search index over them.

    search/about.json     what this was made from: a hash of the archive's index and of our reader
    search/pages.jsonl    one line a page, by URL
    search/places.json    where in that file each page's line lies
    search/index/         the search index

Made whole or not at all, by one process at a time, when first searched and again when the archive
has grown or the reader has changed; pages that are as before are then taken over. What is left out
of search: near duplicates, all but one of pages with the very same bytes, redirects, errors, data,
robots.txt, and pages that asked to be left out.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from webfarer.store import folder as whole_folder
from webfarer.store.atomic import told
from webfarer.types import FailureError, Link, Page
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.rows import Row
from webfarer.web.index import Entry, SearchIndex
from webfarer.web.reading import is_article, page_of

Say = Callable[[str], None]
_ABOUT, _PAGES, _PLACES, _INDEX = "about.json", "pages.jsonl", "places.json", "index"
READER = ("http/charset", "extract", "flat", "markdown", "reading")  # what a page's text rests on
_FEW = 40  # pages that are sooner read here than by other processes


class Pages:
    """The extracted pages of an archive and the index over them, as they lie in its folder."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, ValueError or FailureError where the folder has none that are whole."""
        about = json.loads((folder / _ABOUT).read_bytes())
        self.made_from: str = about["made_from"]
        self.reader: str = about["reader"]
        self._places: dict[str, list[int]] = json.loads((folder / _PLACES).read_bytes())
        if (folder / _PAGES).stat().st_size != about["bytes"]:
            raise ValueError(f"{folder / _PAGES} is torn")
        self.index = SearchIndex.open(folder / _INDEX)
        self._file = (folder / _PAGES).open("rb")

    def __len__(self) -> int:
        return len(self._places)

    def page(self, row: Row) -> Page | None:
        """The page of that very record; None where it was not extracted."""
        place = self._places.get(row.url)
        if place is None:
            return None
        line = json.loads(os.pread(self._file.fileno(), place[1], place[0]))
        return _page(line) if line["from"] == [row.file, row.offset] else None

    def close(self) -> None:
        self._file.close()


def open_pages(archive: Archive) -> Pages | None:
    """What was extracted of the archive as it is now; None where that is still to be done."""
    pages = _found(archive.folder / "search")
    if pages is not None and pages.made_from != _made_from(archive):
        pages.close()
        return None
    return pages


def _found(folder: Path) -> Pages | None:
    """The pages in a folder, of whatever they were made; None where they are not all there."""
    try:
        return Pages(folder)
    except (OSError, ValueError, KeyError, TypeError, FailureError):
        return None


def build_pages(archive: Archive, jobs: int = 0, say: Say | None = None) -> Pages:
    """Extracts and indexes what is not yet, in so many processes (0: one a core).

    Raises WebfarerError where the disk is full, FailureError where a page broke its reader.
    """
    with _alone(archive.folder / ".search.lock"):
        if (ready := open_pages(archive)) is not None:
            return ready  # another process made them while we waited
        made_from = _made_from(archive)
        rows = list(searchable(archive))
        if say is not None:
            say(f"{archive.folder}: reading {len(rows)} pages for search")
        target = archive.folder / "search"
        with whole_folder(target) as building:
            jobs = jobs or os.cpu_count() or 1
            # Closed while the folder is still there, whatever stops the writing.
            with closing(_extracted(archive, rows, target, building, jobs)) as lines:
                size = _write(building, lines)
            SearchIndex.build(_entries(building / _PAGES), folder=building / _INDEX)
            about = {"made_from": made_from, "reader": _reader(), "bytes": size}
            (building / _ABOUT).write_text(json.dumps(about) + "\n")
    return Pages(target)


def searchable(archive: Archive) -> Iterator[Row]:
    """The records that are found by search, by URL."""
    seen: set[str] = set()
    for row in archive.latest():
        if row.status != 200 or not row.size or not is_article(row.content_type):
            continue
        if row.url.endswith("/robots.txt") or row.notes.get("noindex"):
            continue
        first = archive.row(row.near_duplicate_of) if row.near_duplicate_of else None
        if row.digest in seen or (first is not None and first.status == 200):
            continue
        seen.add(row.digest)
        yield row


def _made_from(archive: Archive) -> str:
    """A hash of the archive's index and of the code that reads its pages."""
    return hashlib.sha256((archive.digest() + _reader()).encode()).hexdigest()


@cache
def _reader() -> str:
    """A hash of the code that a page's text rests on: another reader, other pages."""
    home = Path(__file__).parents[1]
    return hashlib.sha256(
        b"".join((home / f"{name}.py").read_bytes() for name in READER)
    ).hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits until no other process holds the lock, and holds it."""
    with told(path):
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


# Extraction


def _extracted(
    archive: Archive, rows: Sequence[Row], before: Path, building: Path, jobs: int
) -> Generator[bytes]:
    """A line for each row, in the order of the rows."""
    old = _taken_over(before)
    new = [row for row in rows if old is None or old.page(row) is None]
    shares = _shares(new, jobs if len(new) > _FEW else 1)
    parts = [building / f"part-{number}.jsonl" for number in range(len(shares))]
    if len(shares) > 1:
        _in_processes(archive, shares, parts)
    else:
        for share, part in zip(shares, parts, strict=True):
            extract_rows(archive, share, part)
    made = {row.url: part for share, part in zip(shares, parts, strict=True) for row in share}
    files = {part: part.open("rb") for part in parts}
    try:
        for row in rows:
            if row.url in made:
                yield files[made[row.url]].readline()
            elif old is not None and (page := old.page(row)) is not None:
                yield page_line(row, page)
    finally:
        for part, file in files.items():
            file.close()
            part.unlink()
        if old is not None:
            old.close()


def _taken_over(folder: Path) -> Pages | None:
    """The pages extracted before, where this reader did it."""
    pages = _found(folder)
    if pages is not None and pages.reader != _reader():
        pages.close()
        return None
    return pages


def _shares(rows: Sequence[Row], jobs: int) -> list[list[Row]]:
    """The rows dealt out so that each share has about as many bytes; within one, in order."""
    shares: list[list[Row]] = [[] for _ in range(jobs)]
    loads = [0] * jobs
    for row in sorted(rows, key=lambda row: -row.size):
        lightest = loads.index(min(loads))
        loads[lightest] += row.size
        shares[lightest].append(row)
    place = {row.url: number for number, row in enumerate(rows)}
    return [sorted(share, key=lambda row: place[row.url]) for share in shares if share]


def _in_processes(archive: Archive, shares: list[list[Row]], parts: list[Path]) -> None:
    """Each share in a process of its own: `webfarer.web.archive.extracting`."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for share, part in zip(shares, parts, strict=True):
            todo = part.with_suffix(".todo")
            todo.write_bytes(b"".join(row.line() for row in share))
            command = [sys.executable, "-m", "webfarer.web.archive.extracting", str(os.getpid())]
            command += [str(archive.folder), str(todo), str(part)]
            running.append(subprocess.Popen(command, stderr=subprocess.PIPE))
        for process in running:
            _, said = process.communicate()
            if process.returncode:
                last = said.decode(errors="replace").strip().rpartition("\n")[2]
                reason = last or f"a process that reads pages ended with {process.returncode}"
                raise FailureError("web", reason)
        for part in parts:
            part.with_suffix(".todo").unlink()
    finally:
        for process in running:
            process.kill()
            process.wait()


def extract_rows(archive: Archive, rows: Iterable[Row], part: Path) -> None:
    """Writes the line of each row's page to a file."""
    with part.open("wb") as file:
        for row in rows:
            file.write(page_line(row, page_of(archive.read(row))))


def page_line(row: Row, page: Page) -> bytes:
    """A page as a line of JSON."""
    links = [[link.url, link.text] for link in page.links]
    line = {"url": page.url, "from": [row.file, row.offset], "status": page.status,
            "title": page.title, "text": page.text, "links": links}  # fmt: skip
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _page(line: dict[str, Any]) -> Page:
    links = tuple(Link(url, text) for url, text in line["links"])
    return Page(line["url"], line["title"], line["text"], links, line["status"])


def _write(folder: Path, lines: Iterator[bytes]) -> int:
    """Writes the pages, and where each lies; returns their bytes."""
    places: dict[str, tuple[int, int]] = {}
    end = 0
    with (folder / _PAGES).open("wb") as file:
        for line in lines:
            file.write(line)
            places[json.loads(line)["url"]] = end, len(line)
            end += len(line)
    (folder / _PLACES).write_text(json.dumps(places))
    return end


def _entries(path: Path) -> Iterator[Entry]:
    """What the index is told: the pages that have a text."""
    with path.open("rb") as lines:
        for line in lines:
            page = json.loads(line)
            if page["status"] == "ok":
                yield Entry(page["url"], page["title"], page["text"])
