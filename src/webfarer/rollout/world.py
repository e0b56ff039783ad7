"""Worlds as an agent meets them: a graph, the web over it, the tools over the web."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from webfarer.graph.graph import KnowledgeGraph
from webfarer.policy.expert import Atlas
from webfarer.tools.search import SearchTool
from webfarer.tools.toolbox import Toolbox
from webfarer.tools.visit import VisitTool
from webfarer.types import BadInput, Task, ToolSettings, random_for
from webfarer.web.site import GraphWeb

_HOST_WORDS = (
    ["north", "south", "east", "west", "old", "new", "open", "little"],
    ["atlas", "almanac", "gazette", "lexicon", "annals", "archive"],
)


def host_of(name: str) -> str:
    """The address of a world's web, such as "https://old-atlas.example", keyed by its name.

    It is drawn from a few words, so that an agent meets every one of them in training, in other
    pairs: were it the world's invented name, it could be learnt by heart for each training world,
    and be made of pieces never written before for a test world.
    """
    first, second = (random_for("host", name, n).choice(w) for n, w in enumerate(_HOST_WORDS))
    return f"https://{first}-{second}.example"


@dataclass(frozen=True)
class World:
    """One graph and the web over it; the web is built when it is first needed."""

    graph: KnowledgeGraph

    @cached_property
    def web(self) -> GraphWeb:
        return GraphWeb(self.graph, host_of(self.graph.name))

    @property
    def atlas(self) -> Atlas:
        """What the scripted expert knows of this world."""
        return Atlas(self.graph, self.web.site.url_of)

    def toolbox(self, settings: ToolSettings, count: Callable[[str], int]) -> Toolbox:
        """`search` and `visit` over this world, with budgets in the tokens that `count` counts."""
        limit = settings.observation_tokens
        return Toolbox(
            [
                SearchTool(self.web, k=settings.hits, limit=limit, count=count),
                VisitTool(self.web, limit=limit, count=count),
            ]
        )


def by_name(graphs: Iterable[KnowledgeGraph]) -> Mapping[str, World]:
    """Worlds by name. Raises BadInput where two have one name, or there is none."""
    worlds: dict[str, World] = {}
    for graph in graphs:
        if graph.name in worlds:
            raise BadInput(f"two worlds are called {graph.name!r}: rename the folder of one")
        worlds[graph.name] = World(graph)
    if not worlds:
        raise BadInput("no world is given: name the folder of at least one")
    return worlds


def check_tasks(tasks: Iterable[Task], worlds: Mapping[str, World]) -> None:
    """Raises BadInput where a task is about a world that is not here, or about another graph of
    the same name: its answer would be another."""
    for task in tasks:
        world = worlds.get(task.origin.world)
        if world is None:
            raise BadInput(
                f"task {task.id} is about the world {task.origin.world!r}, which is not given; "
                f"the worlds are: {', '.join(worlds)}"
            )
        if world.graph.sha256 != task.origin.graph:
            raise BadInput(
                f"task {task.id} was made from another graph than that of {task.origin.world!r}: "
                "give the folder it was made from, or make the tasks again"
            )
