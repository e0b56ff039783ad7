"""The branching walk that WebSailor's questions start from (Li et al. 2025, section 3.1).

A walk starts at a root. Each step adds an edge at the newest node or, with probability `back`, at
an earlier one, each as likely; so it branches and closes circles, where a plain random walk gives a
chain. It ends with the wanted number of different edges, or where `steps` steps did not find them.

Fixed here, which the paper leaves open: edges are followed in both directions; a step that draws an
edge the walk has, or stands at a node with more than `hub` edges, adds nothing, and the next step
then goes on from any of the nodes, so that no dead end holds a walk.

Random numbers are counters put through a mixing function (SplitMix64; Steele, Lea and Flood 2014),
keyed by seed, walk and step: a walk is the same in Python and in compiled code, alone or among
others, over a packed graph and over the same graph in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, NamedTuple

import numpy as np

from webfarer.graph.graph import KnowledgeGraph
from webfarer.graph.packed.columns import Array
from webfarer.graph.packed.layout import Incidence
from webfarer.types import BadInput

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
Engine = Literal["auto", "numba", "python"]


@dataclass(frozen=True, slots=True)
class WalkSettings:
    """What a walk is. `hub` is the most edges of a node that a walk goes on from (the root always
    may; 0: any number); `steps` bounds the steps (0: 16 for each wanted edge)."""

    edges: int = 12
    back: float = 0.3
    hub: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        if self.edges < 1:
            raise BadInput(f"a walk of {self.edges} edges: give at least 1")
        if not 0 <= self.back <= 1:
            raise BadInput(f"back is {self.back}, not a probability: give 0 to 1")
        if self.hub < 0 or self.steps < 0:
            raise BadInput("hub and steps count something: give 0 or more")

    @property
    def limit(self) -> int:
        return self.steps or 16 * self.edges

    @property
    def threshold(self) -> int:
        """`back` as a bound on 32 random bits."""
        return int(self.back * (1 << 32))


class Edge(NamedTuple):
    """A fact by numbers: of nodes, and of a relation."""

    subject: int
    relation: int
    object: int


@dataclass(frozen=True, slots=True)
class Walk:
    """Different edges in the order in which they were found; `steps` is how many that took."""

    root: int
    edges: tuple[Edge, ...]
    steps: int


@dataclass(frozen=True, slots=True)
class Walks(Sequence[Walk]):
    """Many walks as arrays: `edges` (W, wanted, 3), of which walk w has `counts[w]`."""

    roots: Array
    edges: Array
    counts: Array
    steps: Array

    def __len__(self) -> int:
        return len(self.roots)

    def __getitem__(self, place: int) -> Walk:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows = self.edges[place, : self.counts[place]].tolist()
        found = tuple(Edge(*row) for row in rows)
        return Walk(int(self.roots[place]), found, int(self.steps[place]))

    def __iter__(self) -> Iterator[Walk]:
        return (self[place] for place in range(len(self)))


def mix(x: int) -> int:
    """SplitMix64's finaliser: 64 bits in, 64 bits out."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def key_of(seed: int, number: int) -> int:
    """The key of a walk's random numbers."""
    return mix((mix((seed + GOLDEN) & MASK) + (number + 1) * GOLDEN) & MASK)


def walk(
    at: Incidence,
    root: int,
    settings: WalkSettings = WalkSettings(),
    seed: int = 0,
    number: int = 0,
) -> Walk:
    """One walk, in Python: what defines every other way to walk.

    `number` says which of a seed's walks it is.
    """
    bounds, slots = at.bounds.data, at.slots.data  # quicker to index than the arrays
    key = key_of(seed, number)
    nodes = [root]
    found: dict[Edge, None] = {}
    missed, step = False, 0
    while step < settings.limit and len(found) < settings.edges:
        first = mix(key + (2 * step + 1) * GOLDEN & MASK)
        second = mix(key + (2 * step + 2) * GOLDEN & MASK)
        step += 1
        place = _place(len(nodes), missed, first, settings.threshold)
        here, missed = nodes[place], True
        start = bounds[here, 0]
        degree = bounds[here + 1, 0] - start
        if degree == 0 or (settings.hub and degree > settings.hub and place > 0):
            continue
        slot = start + ((second >> 32) * degree >> 32)
        other, relation = slots[slot, 0], slots[slot, 1]
        out = slot < bounds[here, 1]
        edge = Edge(here, relation, other) if out else Edge(other, relation, here)
        if edge not in found:
            found[edge] = None
            missed = False
            if other not in nodes:
                nodes.append(other)
    return Walk(root, tuple(found), step)


def _place(nodes: int, missed: bool, bits: int, threshold: int) -> int:
    """Which node the step goes on from: the newest, or one of those before it."""
    if missed:
        return (bits & 0xFFFFFFFF) * nodes >> 32
    if nodes > 1 and bits >> 32 < threshold:
        return (bits & 0xFFFFFFFF) * (nodes - 1) >> 32
    return nodes - 1


def walks(
    at: Incidence,
    roots: Sequence[int] | Array,
    settings: WalkSettings = WalkSettings(),
    seed: int = 0,
    first: int = 0,
    engine: Engine = "auto",
    threads: int = 1,
) -> Walks:
    """A walk from each root; the w-th is walk number `first + w` of the seed.

    Compiled and many at a time where numba is installed, else in Python: the same walks, slower.
    Raises BadInput where a root is no node, or numba is asked for and not there.
    """
    starts = np.asarray(roots, np.uint32)
    if len(starts) and int(starts.max()) >= len(at.bounds) - 1:
        raise BadInput(f"node {starts.max()} is not in the graph: it has {len(at.bounds) - 1:,}")
    if engine == "python" or (engine == "auto" and not compiled()):
        each = [
            walk(at, root, settings, seed, first + number)
            for number, root in enumerate(starts.tolist())
        ]
        return _gathered(starts, each, settings)
    if not compiled():
        raise BadInput("compiled walks need numba: install with pip install 'webfarer[graphs]'")
    from webfarer.graph.packed.kernels import walk_many

    return Walks(starts, *walk_many(at, starts, settings, seed, first, threads))


def compiled() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def _gathered(roots: Array, each: list[Walk], settings: WalkSettings) -> Walks:
    edges = np.zeros((len(each), settings.edges, 3), np.uint32)
    for place, one in enumerate(each):
        if one.edges:
            edges[place, : len(one.edges)] = one.edges
    counts = np.array([len(one.edges) for one in each], np.int32)
    return Walks(roots, edges, counts, np.array([one.steps for one in each], np.int32))


@dataclass(frozen=True, slots=True)
class Numbered:
    """A graph in memory, its entities and the relations between them numbered by their ids."""

    entities: list[str]
    relations: list[str]
    at: Incidence


def numbered(graph: KnowledgeGraph) -> Numbered:
    """The graph as its packed form would number and order it, so that walks are the same.

    Literals are not walked to.
    """
    entities = sorted(graph.entities)
    between = [fact for fact in graph.facts if isinstance(fact.object, str)]
    relations = sorted({fact.relation for fact in between})
    number = {id: place for place, id in enumerate(entities)}
    kind = {id: place for place, id in enumerate(relations)}
    outs: list[list[tuple[int, int]]] = [[] for _ in entities]
    ins: list[list[tuple[int, int]]] = [[] for _ in entities]
    for subject, relation, object in between:
        assert isinstance(object, str)
        outs[number[subject]].append((kind[relation], number[object]))
        ins[number[object]].append((kind[relation], number[subject]))
    bounds, slots = [], []
    for out, back in zip(outs, ins, strict=True):
        bounds.append((len(slots), len(slots) + len(out)))
        slots += [(other, relation) for relation, other in (*sorted(out), *sorted(back))]
    bounds.append((len(slots), len(slots)))
    at = Incidence(np.array(bounds, np.int64), np.array(slots, np.uint32).reshape(-1, 2))
    return Numbered(entities, relations, at)
