"""The graphs that a run acts in: procedural worlds, or an imported graph's three."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from webfarer.graph.files import load
from webfarer.graph.graph import KnowledgeGraph
from webfarer.graph.split import split_entities, train_graph, valid_graph
from webfarer.graph.worlds.world import build_world
from webfarer.types import BadInput, Recipe, Split, seed_for

SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def graphs(recipe: Recipe) -> Iterable[tuple[str, KnowledgeGraph]]:
    """The run's graphs by folder name: the split, a dash and the world's name."""
    if recipe.graph.folder is not None:
        whole = load(Path(recipe.graph.folder), language=language(recipe))
        split = split_entities(whole, recipe.seed, valid=recipe.graph.valid, test=recipe.graph.test)
        yield f"train-{whole.name}", train_graph(whole, split)
        yield f"valid-{whole.name}", valid_graph(whole, split)
        yield f"test-{whole.name}", whole
        return
    names: set[str] = set()
    for split in SPLITS:
        for number in range(getattr(recipe.worlds, split)):
            graph = _new_world(recipe, split, number, names)
            yield f"{split}-{graph.name}", graph


def language(recipe: Recipe) -> str | None:
    """The language to read the run's graphs in; None: that of most of an imported one's labels."""
    return recipe.worlds.language if recipe.graph.folder is None else recipe.graph.language or None


def _new_world(recipe: Recipe, split: str, number: int, names: set[str]) -> KnowledgeGraph:
    """The next world of a split; another is drawn where its name is taken."""
    for draw in range(1000):
        seed = seed_for(recipe.seed, "world", split, number, draw)
        graph = build_world(seed, recipe.worlds.size, recipe.worlds.language)
        if graph.name not in names:
            names.add(graph.name)
            return graph
    raise BadInput("no world with a name of its own could be found: ask for fewer worlds")
