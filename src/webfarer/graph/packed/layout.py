"""Edges in any order, laid out so that all edges of a node lie side by side.

Each edge is written twice, at its subject and at its object. Node n's slots are those from
`bounds[n, 0]` up to `bounds[n + 1, 0]`: first the edges that it is the subject of, then, from
`bounds[n, 1]`, those that it is the object of. A slot is the node at the other end and the
relation. Within each half slots are in the order of (relation, other end), and no edge is there
twice: the same edges give the same bytes, however they came. A step of a walk then touches two
places in memory, one row of bounds and one slot, which is what its speed hangs on.

Laid out in a fixed amount of memory: edges are first put in buckets of neighbouring nodes, in
files; each bucket is sorted in memory. A bucket is as large as its largest node, where that is
larger than `BUCKET`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from webfarer.graph.packed.columns import Array, ArrayWriter

BUCKET = 4_000_000  # edges sorted at a time
_READ = 1 << 20  # edges read at a time
EDGE = np.dtype([("one", "<u4"), ("relation", "<u4"), ("other", "<u4")])

Chunks = Callable[[], Iterable[Array]]
"""Gives the edges anew each time it is called, as arrays of EDGE: subject, relation, object."""


class Incidence(NamedTuple):
    """`bounds` (N + 1, 2) and `slots` (2 x edges, 2), as the module says."""

    bounds: Array
    slots: Array

    def degree(self, node: int) -> int:
        """How many edges name the node; one that names it at both ends counts twice."""
        return int(self.bounds[node + 1, 0] - self.bounds[node, 0])

    def only(self, relations: Iterable[int] | None = None, direction: str = "both") -> Incidence:
        """The same without the slots of other relations, or of one direction: held in memory.

        `direction` is "both", "out" (from subject to object) or "in".
        """
        start, middle = self.bounds[:, 0], self.bounds[:, 1]
        keep = np.ones(len(self.slots), bool)
        if relations is not None:
            keep &= np.isin(self.slots[:, 1], np.fromiter(relations, np.uint32))
        if direction != "both":
            owner = np.repeat(np.arange(len(start) - 1), np.diff(start))
            outward = np.arange(len(self.slots)) < middle[owner]
            keep &= outward if direction == "out" else ~outward
        before = np.concatenate([[0], np.cumsum(keep)])
        return Incidence(np.stack([before[start], before[middle]], axis=1), self.slots[keep])


@dataclass(frozen=True, slots=True)
class _Half:
    """The edges in one direction: in order, in a file, with how many each node has, and how many
    each relation."""

    path: Path
    counts: Array
    relations: Array

    def chunks(self) -> Iterator[Array]:
        return edges_in(self.path)


def edges_in(path: Path) -> Iterator[Array]:
    """The edges in a plain file of EDGE records, some at a time."""
    with path.open("rb") as file:
        while data := file.read(_READ * EDGE.itemsize):
            yield np.frombuffer(data, EDGE)


def lay_out(chunks: Chunks, nodes: int, folder: Path) -> Array:
    """Writes `bounds.npy` and `slots.npy` to the folder, by way of files in it. Returns how many
    different edges each relation has, up to the last one used. Raises OSError on a full disk."""
    out = _ordered(chunks, nodes, folder / "out.tmp")
    back = _ordered(lambda: map(_turned, out.chunks()), nodes, folder / "in.tmp")
    _write_slots(out, back, folder)
    out.path.unlink()
    back.path.unlink()
    return out.relations


def _turned(edges: Array) -> Array:
    turned = np.empty(len(edges), EDGE)
    turned["one"], turned["relation"] = edges["other"], edges["relation"]
    turned["other"] = edges["one"]
    return turned


def _ordered(chunks: Chunks, nodes: int, path: Path) -> _Half:
    """The edges by (one, relation, other), each once."""
    counts = np.zeros(nodes, np.int64)
    for chunk in chunks():
        counts += np.bincount(chunk["one"], minlength=nodes)
    firsts = _bucket_firsts(counts)
    different, relations = np.zeros(nodes, np.int64), np.zeros(0, np.int64)
    with path.open("wb") as file:
        for bucket in _buckets(chunks, firsts, path):
            edges = _sorted(bucket)
            different += np.bincount(edges["one"], minlength=nodes)
            times = np.bincount(edges["relation"], minlength=len(relations))
            times[: len(relations)] += relations
            relations = times
            file.write(edges.data if len(edges) else b"")
    return _Half(path, different, relations)


def _bucket_firsts(counts: Array) -> Array:
    """The first node of each bucket: nodes side by side, of `BUCKET` edges or a little more."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    marks = np.arange(0, total, BUCKET)
    return np.unique(np.searchsorted(ends, marks, side="right"))


def _buckets(chunks: Chunks, firsts: Array, path: Path) -> Iterator[Array]:
    if len(firsts) <= 1:
        yield np.concatenate([np.empty(0, EDGE), *chunks()])
        return
    paths = [path.with_suffix(f".{number}") for number in range(len(firsts))]
    for each in paths:
        each.unlink(missing_ok=True)
    for chunk in chunks():
        numbers = np.searchsorted(firsts, chunk["one"], side="right") - 1
        order = np.argsort(numbers, kind="stable")
        cuts = np.searchsorted(numbers[order], np.arange(1, len(firsts)))
        for each, edges in zip(paths, np.split(chunk[order], cuts), strict=True):
            if len(edges):
                with each.open("ab") as file:
                    file.write(edges.data)
    for each in paths:
        yield np.fromfile(each, EDGE) if each.exists() else np.empty(0, EDGE)
        each.unlink(missing_ok=True)


def _sorted(edges: Array) -> Array:
    """By (one, relation, other), each once. Three numbers that fit 64 bits sort as one."""
    if not len(edges):
        return edges
    low = int(edges["one"].min())
    widths = [int(edges[name].max()).bit_length() for name in ("relation", "other")]
    if (int(edges["one"].max()) - low).bit_length() + sum(widths) > 64:
        return np.unique(edges)
    key = edges["one"].astype(np.uint64) - np.uint64(low)
    for name, width in zip(("relation", "other"), widths, strict=True):
        key <<= np.uint64(width)
        key |= edges[name]
    key.sort()
    key = key[np.concatenate([[True], key[1:] != key[:-1]])]
    found = np.empty(len(key), EDGE)
    for name, width in (("other", widths[1]), ("relation", widths[0])):
        found[name] = key & np.uint64((1 << width) - 1)
        key >>= np.uint64(width)
    found["one"] = key + np.uint64(low)
    return found


def _write_slots(out: _Half, back: _Half, folder: Path) -> None:
    nodes = len(out.counts)
    start = np.concatenate([[0], np.cumsum(out.counts + back.counts)])
    middle = start + np.concatenate([out.counts, [0]])
    # Half as wide where that is enough: more of them stay in the processor's caches.
    width = np.uint32 if start[-1] < 1 << 32 else np.int64
    bounds = ArrayWriter(folder / "bounds.npy", width, 2)
    bounds.append(np.stack([start, middle], axis=1))
    bounds.close()
    slots = ArrayWriter(folder / "slots.npy", np.uint32, 2)
    firsts = [*_bucket_firsts(out.counts + back.counts).tolist(), nodes]
    with out.path.open("rb") as outs, back.path.open("rb") as backs:
        for first, last in itertools.pairwise(firsts):
            rows = np.empty((int(start[last] - start[first]), 2), np.uint32)
            for half, file, places in ((out, outs, start), (back, backs, middle)):
                counts = half.counts[first:last]
                edges = np.fromfile(file, EDGE, int(counts.sum()))
                skipped = places[first:last] - start[first] - (np.cumsum(counts) - counts)
                where = np.arange(len(edges)) + np.repeat(skipped, counts)
                rows[where, 0], rows[where, 1] = edges["other"], edges["relation"]
            slots.append(rows)
    slots.close()
