"""`walk.walk`, compiled with numba: one walk at a time, or many side by side.

A step waits for memory twice, for a row of bounds and for a slot. Side by side, `LANES` walks take
each part of a step in turn, so that the processor has many such waits under way at once. Which lane
a walk runs in changes nothing: its random numbers are keyed by its own number.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from webfarer.graph.packed.columns import Array
from webfarer.graph.packed.layout import Incidence
from webfarer.graph.walk import GOLDEN, MASK, WalkSettings, mix

LANES = 64
_G = np.uint64(GOLDEN)
_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_S32, _S58 = np.uint64(32), np.uint64(58)
_LOW, _ONE, _TWO = np.uint64(0xFFFFFFFF), np.uint64(1), np.uint64(2)


class Task(NamedTuple):
    """What is walked: the graph, the roots, and the settings as compiled code takes them."""

    at: Incidence
    roots: Array
    key: Any
    first: Any
    threshold: Any
    hub: int
    limit: int


class Found(NamedTuple):
    """What the walks found: edges (W, wanted, 3), counts and steps (W,)."""

    edges: Array
    counts: Array
    steps: Array


@njit(inline="always", cache=True)
def _mix(x: Any) -> Any:
    x = (x ^ (x >> _S30)) * _A
    x = (x ^ (x >> _S27)) * _B
    return x ^ (x >> _S31)


@njit(inline="always", cache=True)
def _draw(key: Any, step: Any, which: Any) -> Any:
    """The step's first (1) or second (2) 64 random bits."""
    return _mix(key + (np.uint64(step) * _TWO + which) * _G)


@njit(inline="always", cache=True)
def _scaled(bits: Any, bound: Any) -> Any:
    """32 random bits as a number from 0 up to `bound`."""
    return np.int64((bits * np.uint64(bound)) >> _S32)


@njit(inline="always", cache=True)
def _place(bits: Any, size: Any, missed: Any, threshold: Any) -> Any:
    """`walk._place` without a branch: what a step does next cannot be foretold."""
    back = (size > 1) & ((bits >> _S32) < threshold)
    earlier = _scaled(bits & _LOW, size if missed else size - 1)
    return earlier if missed | back else np.int64(size - 1)


@njit(inline="always", cache=True)
def _slot(bits: Any, start: Any, end: Any, place: Any, hub: Any) -> Any:
    """The slot that the step draws; -1 where it may not go on from there."""
    degree = np.int64(end) - np.int64(start)
    if degree == 0 or (hub > 0 and degree > hub and place > 0):
        return np.int64(-1)
    return np.int64(start) + _scaled(bits >> _S32, degree)


@njit(inline="always", cache=True)
def _bit(node: Any) -> Any:
    """One of 64 bits for a node: what has none of a walk's bits is none of its nodes."""
    return _ONE << ((np.uint64(node) * _G) >> _S58)


@njit(inline="always", cache=True)
def _has(edges: Any, walk: Any, count: Any, one: Any, relation: Any, two: Any) -> Any:
    for place in range(count):
        same = (edges[walk, place, 0] == one) & (edges[walk, place, 2] == two)
        if same & (edges[walk, place, 1] == relation):
            return True
    return False


@njit(cache=True, nogil=True)
def _alone(task: Any, found: Any) -> None:
    """One walk after another."""
    (bounds, slots), roots, edges = task.at, task.roots, found.edges
    wanted = edges.shape[1]
    nodes = np.empty(wanted + 1, np.uint32)
    for walk in range(len(roots)):
        key = _mix(task.key + (task.first + np.uint64(walk) + _ONE) * _G)
        nodes[0], bloom = roots[walk], _bit(roots[walk])
        size, count, step, missed = 1, 0, 0, False
        while step < task.limit and count < wanted:
            place = _place(_draw(key, step, _ONE), size, missed, task.threshold)
            here = nodes[place]
            bits = _draw(key, step, _TWO)
            slot = _slot(bits, bounds[here, 0], bounds[here + 1, 0], place, task.hub)
            step += 1
            missed = True
            if slot < 0:
                continue
            other, relation = slots[slot, 0], slots[slot, 1]
            one, two = (here, other) if slot < bounds[here, 1] else (other, here)
            known = False
            if bloom & _bit(other):
                for place in range(size):
                    known |= nodes[place] == other
            if known and _has(edges, walk, count, one, relation, two):
                continue
            missed = False
            edges[walk, count, 0], edges[walk, count, 1], edges[walk, count, 2] = one, relation, two
            count += 1
            if not known:
                nodes[size] = other
                bloom |= _bit(other)
                size += 1
        found.counts[walk], found.steps[walk] = count, step


@njit(cache=True, nogil=True)
def _side_by_side(task: Any, found: Any, width: Any, begin: Any, end: Any) -> None:
    """Walks `begin` up to `end`, `width` of them at a time; each inner loop is a part of a step.

    A lane that has no more to do goes through the motions with a `walk` of -1.
    """
    (bounds, slots), roots, edges = task.at, task.roots, found.edges
    wanted = edges.shape[1]
    live = width = min(width, end - begin)
    nodes, walks = np.empty((width, wanted + 1), np.uint32), np.empty(width, np.int64)
    keys, slot = np.empty(width, np.uint64), np.empty(width, np.int64)
    bloom = np.empty(width, np.uint64)
    size, count = np.ones(width, np.int64), np.zeros(width, np.int64)
    step = np.zeros(width, np.int64)
    missed, place = np.zeros(width, np.bool_), np.empty(width, np.int64)
    here, other = np.empty(width, np.uint32), np.empty(width, np.uint32)
    relation, out = np.empty(width, np.uint32), np.empty(width, np.bool_)
    for lane in range(width):
        walks[lane], nodes[lane, 0] = begin + lane, roots[begin + lane]
        bloom[lane] = _bit(nodes[lane, 0])
        keys[lane] = _mix(task.key + (task.first + np.uint64(begin + lane) + _ONE) * _G)
    upcoming = begin + width
    while live > 0:
        for lane in range(width):
            bits = _draw(keys[lane], step[lane], _ONE)
            place[lane] = _place(bits, size[lane], missed[lane], task.threshold)
            here[lane] = nodes[lane, place[lane]]
        for lane in range(width):
            at, bits = here[lane], _draw(keys[lane], step[lane], _TWO)
            slot[lane] = _slot(bits, bounds[at, 0], bounds[at + 1, 0], place[lane], task.hub)
            out[lane] = slot[lane] < bounds[at, 1]
        for lane in range(width):
            at = max(slot[lane], 0)
            other[lane], relation[lane] = slots[at, 0], slots[at, 1]
        for lane in range(width):
            walk = walks[lane]
            if walk < 0:
                continue
            step[lane] += 1
            missed[lane] = True
            if slot[lane] >= 0:
                one, two = (here[lane], other[lane]) if out[lane] else (other[lane], here[lane])
                known = False
                if bloom[lane] & _bit(other[lane]):
                    for each in range(size[lane]):
                        known |= nodes[lane, each] == other[lane]
                if not (known and _has(edges, walk, count[lane], one, relation[lane], two)):
                    missed[lane] = False
                    edges[walk, count[lane], 0], edges[walk, count[lane], 2] = one, two
                    edges[walk, count[lane], 1] = relation[lane]
                    count[lane] += 1
                    if not known:
                        nodes[lane, size[lane]] = other[lane]
                        bloom[lane] |= _bit(other[lane])
                        size[lane] += 1
            if step[lane] < task.limit and count[lane] < wanted:
                continue
            found.counts[walk], found.steps[walk] = count[lane], step[lane]
            size[lane], count[lane], step[lane], missed[lane] = 1, 0, 0, False
            if upcoming < end:
                walks[lane], nodes[lane, 0] = upcoming, roots[upcoming]
                bloom[lane] = _bit(nodes[lane, 0])
                keys[lane] = _mix(task.key + (task.first + np.uint64(upcoming) + _ONE) * _G)
                upcoming += 1
            else:
                walks[lane] = -1
                live -= 1


def walk_many(
    at: Incidence,
    roots: Array,
    settings: WalkSettings,
    seed: int,
    first: int,
    threads: int = 1,
    lanes: int = LANES,
) -> Found:
    """Walks number `first` on, one from each root; with one lane, one after another."""
    total = len(roots)
    found = Found(
        np.zeros((total, settings.edges, 3), np.uint32),
        np.zeros(total, np.int32),
        np.zeros(total, np.int32),
    )
    if not len(at.slots):  # compiled code looks at the first slot unasked
        found.steps[:] = settings.limit
        return found
    key, number = np.uint64(mix((seed + GOLDEN) & MASK)), np.uint64(first & MASK)
    chance = np.uint64(settings.threshold)
    task = Task(at, roots, key, number, chance, settings.hub, settings.limit)
    if lanes == 1:
        _alone(task, found)
        return found
    cuts = [part * total // threads for part in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:  # compiled code lets go of the interpreter
        parts = [
            pool.submit(_side_by_side, task, found, lanes, begin, end)
            for begin, end in pairwise(cuts)
        ]
    for part in parts:
        part.result()
    return found
