"""Files of a large graph read line by line into a packed one.

A line that is not what the form wants is skipped, counted and told with its number. A compressed
file that ends too early is read as far as it goes, and told. The packed graph is written whole or
not at all, so an import that was stopped is simply run again.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from webfarer.graph.dumps.filters import Filters
from webfarer.graph.dumps.ntriples import parse_line
from webfarer.graph.dumps.rdf import RdfReader
from webfarer.graph.dumps.wikidata import WikidataReader
from webfarer.graph.packed.pack import Packer
from webfarer.graph.packed.store import PackedManifest, is_packed
from webfarer.store.atomic import folder as new_folder
from webfarer.types import BadInput

LONGEST = 64 << 20  # bytes of a line; Wikidata's longest are under a tenth of it
_EVERY = 20_000  # lines between two looks at how far a file has been read
_FIRST = 3  # line numbers told of those that were skipped

Tell = Callable[[int, int, str], None]
ALL = Filters()


@dataclass
class FileRead:
    """What became of one file. `bad` are the numbers of the first lines that were skipped."""

    path: Path
    lines: int = 0
    skipped: int = 0
    bad: list[int] = field(default_factory=list)
    broken: str = ""

    def skip(self, number: int) -> None:
        self.skipped += 1
        if len(self.bad) < _FIRST:
            self.bad.append(number)

    @property
    def complaints(self) -> list[str]:
        """What a person should know, a line each."""
        said: list[str] = []
        if self.skipped:
            places = ", ".join(f"{number:,}" for number in self.bad)
            more = " ..." if self.skipped > len(self.bad) else ""
            said.append(
                f"{self.path}: {self.skipped:,} of {self.lines:,} lines are not of the form and "
                f"were skipped, the first at {places}{more}"
            )
        if self.broken:
            said.append(
                f"{self.path}: {self.broken}; the {self.lines:,} lines before that were taken. "
                "Fetch the file again for the rest"
            )
        return said


@dataclass(frozen=True, slots=True)
class Imported:
    """The packed graph that was written, and what became of each file."""

    manifest: PackedManifest
    files: tuple[FileRead, ...]


def import_graph(
    files: Iterable[Path],
    out: Path,
    filters: Filters = ALL,
    limit: int = 0,
    tell: Tell = lambda done, total, note: None,
) -> Imported:
    """Packs N-Triples (.nt) and Wikidata's JSON dump (.json), plain or .gz or .bz2, into `out`.

    `limit` is the most lines read of each file (0: all). Raises BadInput where a file is of another
    kind or not there, `out` holds something else, or no fact was found; WebfarerError on a full
    disk.
    """
    paths = [Path(path) for path in files]
    for path in paths:
        _form(path)
        if not path.is_file():
            raise BadInput(f"{path} is not a file: give files of N-Triples or of Wikidata's JSON")
    check_target(out)
    total = sum(path.stat().st_size for path in paths)
    read, done = [FileRead(path) for path in paths], 0
    with new_folder(out) as building:
        packer = Packer(building, filters.languages)
        for each in read:
            _take(each, packer, filters, limit, lambda size, at=done: tell(at + size, total, ""))
            done += each.path.stat().st_size
        skipped = sum(each.skipped for each in read)
        packer.notes["lines that are not of the form, skipped"] += skipped
        manifest = packer.finish(out.resolve().name, lambda note: tell(done, total, note))
        if not manifest.edges and not manifest.literals:
            raise BadInput(_factless(read))
    return Imported(manifest, tuple(read))


def _factless(read: Iterable[FileRead]) -> str:
    complaints = [line for each in read for line in each.complaints]
    return "; ".join(["no fact was read: give other files, or a wider filter", *complaints])


def check_target(out: Path) -> None:
    """Raises BadInput unless the folder is new, empty or a packed graph, which is then replaced."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file; give a folder to write the graph to")
    if out.is_dir() and any(out.iterdir()) and not is_packed(out):
        raise BadInput(f"{out} holds something else: give a folder of the graph's own")


def _form(path: Path) -> str:
    name = path.name.removesuffix(".gz").removesuffix(".bz2")
    form = name.rpartition(".")[2]
    if form not in ("nt", "json"):
        raise BadInput(f"{path} ends in neither .nt nor .json (or these with .gz, .bz2): rename it")
    return form


def _take(
    each: FileRead, packer: Packer, filters: Filters, limit: int, tell: Callable[[int], None]
) -> None:
    if _form(each.path) == "nt":
        rdf = RdfReader(packer, filters)

        def take(line: str) -> None:
            if (said := parse_line(line)) is not None:
                rdf.say(said)
    else:
        wikidata = WikidataReader(packer, filters)

        def take(line: str) -> None:
            wikidata.line(line)

    for number, line in _lines(each, tell):
        try:
            if line is None:
                raise ValueError("too long")
            take(line.decode())
        except (ValueError, RecursionError):  # not UTF-8, not JSON, not a triple
            each.skip(number)
        if number == limit:
            break


def _lines(each: FileRead, tell: Callable[[int], None]) -> Iterator[tuple[int, bytes | None]]:
    """The lines with their numbers from 1; None in place of one that is too long to hold."""
    with each.path.open("rb") as raw:
        lines = _opened(raw, each.path)
        while True:
            try:
                line = lines.readline(LONGEST)
                too_long = len(line) == LONGEST and not _drained(lines, line)
            except (OSError, EOFError, zlib.error) as error:
                each.broken = _why(error)
                return
            if not line:
                return
            each.lines += 1
            if each.lines % _EVERY == 0:
                tell(raw.tell())
            yield each.lines, None if too_long else line


def _drained(lines: BinaryIO, piece: bytes) -> bool:
    """Whether the piece is a whole line; what is left of it is read and dropped if not."""
    whole = True
    while piece and not piece.endswith(b"\n"):
        whole, piece = False, lines.readline(LONGEST)
    return whole


def _opened(raw: BinaryIO, path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(raw))
    return cast(BinaryIO, bz2.open(raw)) if path.suffix == ".bz2" else raw


def _why(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the compressed file is cut short"
    return "the compressed file is broken"
