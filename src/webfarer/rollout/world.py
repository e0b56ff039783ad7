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
from webfarer.web.base import Web
from webfarer.web.http.remote import HttpWeb
from webfarer.web.site import GraphWeb, Layout

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
class Elsewhere:
    """A web that was not made from the graph, such as an archive, and where on it each entity of
    the graph has its page."""

    web: Web
    url_of: Callable[[str], str]


@dataclass(frozen=True)
class World:
    """One graph and a web that says what it says; the web is built when it is first needed.

    The web is made from the graph, in a `layout`, and is in this process unless `via` is the
    address of a server that serves it; or it is one from `elsewhere`.
    """

    graph: KnowledgeGraph
    layout: Layout = "site"
    via: str = ""
    elsewhere: Elsewhere | None = None

    @cached_property
    def made(self) -> GraphWeb:
        """The web that is made from the graph, in this process."""
        return GraphWeb(self.graph, host_of(self.graph.name), layout=self.layout)

    @cached_property
    def web(self) -> Web:
        """The web that an agent meets."""
        if self.elsewhere is not None:
            return self.elsewhere.web
        if self.via:
            made = self.made
            return HttpWeb(made.name, made.site.base, self.via, made.hosts, language=made.language)
        return self.made

    @property
    def key(self) -> str:
        """What tells this world's pages from those of any other; how they are reached is no part
        of it."""
        ways = [self.graph.language] if self.graph.language != "en" else []
        ways += [self.layout] if self.layout != "site" else []
        return " ".join([self.graph.sha256, *ways])

    def url_of(self, entity: str) -> str:
        """The URL of an entity's page. Raises KeyError for an id that the graph does not have."""
        return self.elsewhere.url_of(entity) if self.elsewhere else self.made.url_of(entity)

    @property
    def atlas(self) -> Atlas:
        """What the scripted expert knows of this world."""
        return Atlas(self.graph, self.url_of)

    def toolbox(self, settings: ToolSettings, count: Callable[[str], int]) -> Toolbox:
        """`search` and `visit` over this world, with budgets in the tokens that `count` counts."""
        limit = settings.observation_tokens
        return Toolbox(
            [
                SearchTool(self.web, k=settings.hits, limit=limit, count=count),
                VisitTool(self.web, limit=limit, count=count),
            ]
        )


def by_name(
    graphs: Iterable[KnowledgeGraph], layout: Layout = "site", via: str = ""
) -> Mapping[str, World]:
    """Worlds by name. Raises BadInput where two have one name, or there is none."""
    worlds: dict[str, World] = {}
    for graph in graphs:
        if graph.name in worlds:
            raise BadInput(f"two worlds are called {graph.name!r}: rename the folder of one")
        worlds[graph.name] = World(graph, layout, via)
    if not worlds:
        raise BadInput("no world is given: name the folder of at least one")
    return worlds


async def check_served(worlds: Iterable[World]) -> None:
    """Raises FailureError where a server does not answer, BadInput where it has other pages than
    the world has: another graph of that name, or the same in another language or layout."""
    for world in worlds:
        url = world.url_of(next(iter(world.graph.entities)))
        if await world.web.visit(url) != world.made.page(url):
            raise BadInput(
                f"{world.via} serves another web as {world.graph.name!r}: have webfarer web serve "
                "read the same folder, with the same settings"
            )


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
        if world.graph.language != task.language:
            raise BadInput(
                f"task {task.id} is in {task.language!r} and {task.origin.world!r} is read in "
                f"{world.graph.language!r}: give --language {task.language}"
            )
