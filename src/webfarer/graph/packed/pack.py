"""What an import says, in any order, packed in a fixed amount of memory.

Texts go to files of sorted lines, merged at the end (an external sort): one pass over the merged
lines then meets the ids in order, each with all that was said of it. Edges go to a file as hashes
of ids, since numbers are known only then; hashes become numbers chunk by chunk. Beside what is read
at a time, memory holds some 20 bytes for each node. The same statements give the same bytes,
whatever their order.
"""

from __future__ import annotations

import heapq
import itertools
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from webfarer.graph.packed.columns import Array, text_writers
from webfarer.graph.packed.layout import EDGE, edges_in, lay_out
from webfarer.graph.packed.store import MANIFEST, PackedFile, PackedManifest, PackedRelation
from webfarer.store.manifest import sha256_file
from webfarer.types import Value, WebfarerError

LINES = 1 << 20  # lines sorted in memory
_EDGES = 1 << 18  # edges held before they are written
_END = b"\x00"
_SPOOLED = np.dtype([("one", "<i8"), ("relation", "<i8"), ("other", "<i8")])

Kind = str  # "entity", "date", "number", "name"


class Packer:
    """Takes statements, then writes a packed graph into the folder. Used once.

    Ids must be printable; texts must be in one line. Raises OSError on a full disk.
    """

    def __init__(self, folder: Path, languages: Iterable[str]) -> None:
        self.folder = folder
        self.languages = tuple(dict.fromkeys(languages))
        self.notes: Counter[str] = Counter()
        self._lines: set[bytes] = set()
        self._runs: list[Path] = []
        self._edges = array("q")
        self._relations: dict[str, int] = {}
        self._kinds: Counter[tuple[str, Kind]] = Counter()
        self._edge_file = folder / "edges.tmp"
        self._edge_file.write_bytes(b"")

    # Saying

    def label(self, id: str, language: str, text: str, rank: int = 0) -> None:
        """A label; of several in one language that of the least rank is kept, the rest are
        aliases."""
        self._line(id, f"l{language}\0{rank}{text}")

    def alias(self, id: str, language: str, text: str, place: int = 0) -> None:
        self._line(id, f"a{language}\0{place:04d}{text}")

    def description(self, id: str, language: str, text: str, rank: int = 0) -> None:
        """A description; of several in one language that of the least rank is kept."""
        self._line(id, f"d{language}\0{rank}{text}")

    def type(self, id: str, kind: str, place: int = 0) -> None:
        self._line(id, f"t\0{place:04d}{kind}")
        self._line(kind, "")

    def literal(self, id: str, relation: str, value: Value) -> None:
        self._kinds[relation, value.kind] += 1
        said = [relation, value.kind, value.value, value.unit]
        self._line(id, "v\0" + json.dumps(said, ensure_ascii=False))

    def edge(self, subject: str, relation: str, object: str) -> None:
        number = self._relations.setdefault(relation, len(self._relations))
        one, other = subject.encode() + _END, object.encode() + _END
        self._edges.extend((hash(one), number, hash(other)))
        self._lines.update((one, other))
        if len(self._edges) >= 3 * _EDGES:
            self._write_edges()
        if len(self._lines) >= LINES:
            self._write_lines()

    def _line(self, id: str, rest: str) -> None:
        self._lines.add(f"{id}\0{rest}".encode())
        if len(self._lines) >= LINES:
            self._write_lines()

    def _write_edges(self) -> None:
        with self._edge_file.open("ab") as file:
            file.write(self._edges)
        del self._edges[:]

    def _write_lines(self) -> None:
        path = self.folder / f"lines.{len(self._runs)}.tmp"
        with path.open("wb") as file:
            file.writelines(line + b"\n" for line in sorted(self._lines))
        self._runs.append(path)
        self._lines.clear()

    # Packing

    def finish(self, name: str, tell: Callable[[str], None] = lambda _: None) -> PackedManifest:
        """Writes the files and the manifest."""
        self._write_edges()
        self._write_lines()
        kinds = self._settled()
        tell("sorting texts")
        hashes, literals = self._write_texts(kinds)
        tell("laying out edges")
        nodes, numbered = len(hashes), self._write_numbered(hashes, kinds)
        del hashes  # eight bytes for each entity
        times = lay_out(lambda: edges_in(numbered), nodes, self.folder)
        for path in (*self._runs, self._edge_file, numbered):
            path.unlink()
        tell("hashing")
        manifest = PackedManifest(
            name=name, nodes=nodes, edges=int(times.sum()), literals=literals.total(),
            languages=self.languages, relations=_relations(kinds, times.tolist(), literals),
            notes={reason: count for reason, count in sorted(self.notes.items()) if count},
            files={path.name: PackedFile(bytes=path.stat().st_size, sha256=sha256_file(path))
                   for path in sorted(self.folder.glob("*.npy"))},
        )  # fmt: skip
        (self.folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        return manifest

    def _settled(self) -> dict[str, Kind]:
        """The kind that most of each relation's values are of; the others are left out."""
        by_relation: dict[str, Counter[Kind]] = {}
        for relation, count in zip(self._relations, self._times(), strict=True):
            by_relation[relation] = Counter(entity=count)
        for (relation, kind), count in self._kinds.items():
            by_relation.setdefault(relation, Counter())[kind] = count
        settled: dict[str, Kind] = {}
        for relation in sorted(by_relation):
            kinds = by_relation[relation]
            settled[relation] = kind = max(sorted(kinds), key=lambda each: kinds[each])
            others = kinds.total() - kinds[kind]
            self.notes["facts whose value is not of its relation's kind, left out"] += others
        return settled

    def _times(self) -> list[int]:
        """How many edges each relation was given."""
        times = np.zeros(len(self._relations), np.int64)
        for rows in self._spooled():
            times += np.bincount(rows["relation"], minlength=len(times))
        return times.tolist()

    def _spooled(self) -> Iterator[Array]:
        with self._edge_file.open("rb") as file:
            while data := file.read(_EDGES * _SPOOLED.itemsize):
                yield np.frombuffer(data, _SPOOLED)

    def _merged(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """Each id with its lines, in order, each once."""
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("rb")) for path in self._runs]
            lines = (line for line, _ in itertools.groupby(heapq.merge(*files)))
            parted = (line[:-1].split(_END, 1) for line in lines)
            for id, rows in itertools.groupby(parted, key=lambda row: row[0]):
                yield id, [rest for _, rest in rows if rest]

    def _write_texts(self, kinds: dict[str, Kind]) -> tuple[Array, Counter[str]]:
        """The ids' hashes in the order of the nodes; how many literals each relation has."""
        texts = [f"{kind}.{each}" for kind in _TEXTS.values() for each in self.languages]
        hashes, literals = array("q"), Counter[str]()
        with text_writers(self.folder, ["ids", "types", "literals", *texts]) as writers:
            for id, lines in self._merged():
                hashes.append(hash(id + _END))
                said = _said(lines, kinds, literals)
                said["ids"] = [id]
                for name, writer in writers.items():
                    rows = said.get(name, ())
                    if name == "literals" and rows:
                        writer.append(b"[" + b",".join(rows) + b"]")
                    else:
                        writer.append(b"\n".join(rows))
        return np.frombuffer(hashes, np.int64), literals

    def _write_numbered(self, hashes: Array, kinds: dict[str, Kind]) -> Path:
        """The edges by the numbers of nodes and relations, in a file; what they are numbered by is
        let go of before they are laid out."""
        order = np.argsort(hashes).astype(np.uint32)
        ordered = hashes[order]
        if len(ordered) and (ordered[1:] == ordered[:-1]).any():
            raise WebfarerError("two ids have one hash: run the same command again")
        places = {relation: number for number, relation in enumerate(kinds)}
        number = np.array([places[each] for each in self._relations] or [0], np.uint32)
        kept = np.array([kinds[each] == "entity" for each in self._relations], bool)
        numbered = self.folder / "numbered.tmp"
        with numbered.open("wb") as file:
            for each in self._spooled():
                rows = each[kept[each["relation"]]]
                edges = np.empty(len(rows), EDGE)
                for end in ("one", "other"):
                    edges[end] = order[np.searchsorted(ordered, rows[end])]
                edges["relation"] = number[rows["relation"]]
                file.write(edges.tobytes())
        return numbered


def _relations(
    kinds: dict[str, Kind], edges: list[int], literals: Counter[str]
) -> tuple[PackedRelation, ...]:
    """Each relation with how many different facts it has; `edges` may end before the last one."""
    edges = edges + [0] * (len(kinds) - len(edges))
    return tuple(
        PackedRelation.model_validate({"id": id, "value": kind, "facts": count + literals[id]})
        for (id, kind), count in zip(kinds.items(), edges, strict=True)
    )


_TEXTS = {b"l": "labels", b"a": "aliases", b"d": "descriptions"}
_SEVERAL = 4  # digits of an alias's or a type's place


def _said(
    lines: list[bytes], kinds: dict[str, Kind], literals: Counter[str]
) -> dict[str, list[bytes]]:
    """A node's texts by the name of the column; its literals are counted. Lines are in order, so
    labels by rank."""
    said: dict[str, list[bytes]] = {}
    spare: list[tuple[str, bytes]] = []
    for line in lines:
        head, _, text = line.partition(_END)
        kind, language = head[:1], head[1:].decode()
        if kind == b"v":
            relation, value, *_ = json.loads(text)
            if kinds[relation] == value:
                literals[relation] += 1
                said.setdefault("literals", []).append(text)
        elif kind == b"t":
            _once(said.setdefault("types", []), text[_SEVERAL:])
        elif kind == b"a":
            _once(said.setdefault(f"aliases.{language}", []), text[_SEVERAL:])
        else:
            column = said.setdefault(f"{_TEXTS[kind]}.{language}", [])
            if not column:
                column.append(text[1:])
            elif kind == b"l":
                spare.append((language, text[1:]))
    for language, text in spare:
        if text not in said[f"labels.{language}"]:
            _once(said.setdefault(f"aliases.{language}", []), text)
    return said


def _once(texts: list[bytes], text: bytes) -> None:
    if text not in texts:
        texts.append(text)
