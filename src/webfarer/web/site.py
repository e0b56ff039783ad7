"""`GraphWeb`: a web whose pages are made from a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from threading import Lock
from typing import Literal

from webfarer.graph.graph import KnowledgeGraph, Language
from webfarer.types import Hit, Page
from webfarer.web.absent import not_found, refused
from webfarer.web.build import Site
from webfarer.web.extract import extract
from webfarer.web.html import render
from webfarer.web.http.exchange import Exchange
from webfarer.web.index import SearchIndex
from webfarer.web.network import NetworkSite

Layout = Literal["site", "network"]
_HTML = (("Content-Type", "text/html; charset=utf-8"),)


def site_of(graph: KnowledgeGraph, host: str, layout: Layout = "site") -> Site:
    """The pages over a graph: of one site, or of a network of sites."""
    return (NetworkSite if layout == "network" else Site)(graph, host)


class GraphWeb:
    """One site over a graph, or a network of them, with a search engine: implements `Web`.

    Pages are built when they are visited and go through HTML and the extraction that foreign pages
    get; the index is built at the first search. Holds nothing of any rollout: `cache` pages are
    kept by URL, the same for everyone, and any number of threads may use it.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        host: str = "https://{name}.example",
        cache: int = 4096,
        layout: Layout = "site",
    ) -> None:
        self.name = graph.name
        self.graph = graph
        self.site = site_of(graph, host, layout)
        self._lock = Lock()
        self._kept = lru_cache(maxsize=cache)(self._load)

    @cached_property
    def _index(self) -> SearchIndex:
        return SearchIndex.build(self.site.documents(), self.site.prefix)

    @property
    def index(self) -> SearchIndex:
        """The search index, built at first use."""
        with self._lock:
            return self._index

    @property
    def language(self) -> Language:
        """The language that its pages are in."""
        return self.graph.language

    def url_of(self, entity: str) -> str:
        """The URL of an entity's page. Raises KeyError for an id that the graph does not have."""
        return self.site.url_of(entity)

    def html(self, url: str) -> str | None:
        """The HTML that a server would send for the URL; None where it has no page."""
        document = self.site.document(url)
        return None if document is None else render(document)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of its hosts, the main one first."""
        return self.site.hosts

    def urls(self) -> Iterator[str]:
        """The URLs of all its pages."""
        return self.site.urls()

    def respond(self, url: str) -> Exchange | None:
        """What a server sends for the URL: the page, or a redirect to the page's one spelling; None
        where there is no page."""
        canonical = self.site.canonical(url)
        if canonical is None:
            return None
        if url.partition("://")[2] != canonical.partition("://")[2]:
            return Exchange(url, 301, (("Location", canonical),), reason="Moved Permanently")
        html = self.html(canonical)
        return None if html is None else Exchange(url, 200, _HTML, html.encode(), "OK")

    async def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """At most k hits for each query. Raises FailureError where the index cannot be read."""
        index = self.index
        return [index.search(query, k) for query in queries]

    async def visit(self, url: str) -> Page:
        """The page at the URL, "not_found" where there is none, "refused" off this host.

        Only http(s) URLs of this host are fetched: a file, a private address or another site is
        refused whatever the URL looks like.
        """
        return self.page(url)

    def page(self, url: str) -> Page:
        """`visit` for those who do not wait."""
        canonical = self.site.canonical(url)
        if canonical is None:
            return refused(url, self.site.base, self.language)
        return self._kept(canonical)

    def _load(self, url: str) -> Page:
        html = self.html(url)
        return not_found(url, self.language) if html is None else extract(html, url)
