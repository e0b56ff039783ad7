"""A part of a packed graph that is small enough for pages, search and questions: the union of
branching walks.

Walks start at the root and then at nodes already taken, so that what comes out hangs together, and
none goes on from a hub: a country is taken along with what points to it, but not every one of its
people. All edges between the nodes taken come with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from webfarer.graph.packed.store import PackedGraph, Part
from webfarer.graph.walk import WalkSettings, walks
from webfarer.types import BadInput, random_for

HUB = 500
SETTINGS = WalkSettings(hub=HUB)
_AT_ONCE = 64  # walks between two looks at how many nodes there are
_PATIENCE = 8  # times in a row that they may find nothing


def sample(
    graph: PackedGraph,
    name: str,
    entities: int,
    seed: int = 1,
    roots: Iterable[int] = (),
    settings: WalkSettings = SETTINGS,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Part:
    """About that many entities around the roots, or around one drawn from those with edges.

    There are fewer where the roots' neighbourhood has no more, which the part's notes say. Raises
    BadInput where the graph has no edges.
    """
    first = list(dict.fromkeys(roots)) or [any_root(graph, seed)]
    taken, inner = dict.fromkeys(first), list[int]()
    number, found_nothing = 0, 0
    while len(taken) < entities and found_nothing < _PATIENCE:
        rng = random_for("sample", seed, number)
        starts = first if number == 0 else rng.choices([*first, *inner], k=_AT_ONCE)
        many = walks(graph.at, starts, settings, seed, number)
        number += len(starts)
        before = len(taken)
        for walk in many:
            for edge in walk.edges:
                if len(taken) < entities:
                    taken |= {edge.subject: None, edge.object: None}
        new = list(taken)[before:]
        inner += [node for node in new if not 0 < settings.hub < graph.degree(node)]
        found_nothing = found_nothing + 1 if not new else 0
        tell(min(len(taken), entities), entities)
    part = graph.subgraph(taken, name)
    short = max(0, entities - len(taken))
    return Part(
        part.graph, part.notes | ({"entities fewer than asked for": short} if short else {})
    )


def any_root(graph: PackedGraph, seed: int) -> int:
    """A node that an edge drawn at random names."""
    if not len(graph.at.slots):
        raise BadInput(f"{graph.folder} has no edges: there is nothing to walk")
    slot = random_for("root", seed).randrange(len(graph.at.slots))
    return int(np.searchsorted(graph.at.bounds[:, 0], slot, side="right")) - 1
