"""`GraphWeb`: a web whose pages are made from a graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from threading import Lock

from webfarer.graph.graph import KnowledgeGraph
from webfarer.types import Hit, Page
from webfarer.web.build import Site
from webfarer.web.extract import extract
from webfarer.web.html import render
from webfarer.web.index import SearchIndex


class GraphWeb:
    """One site over a graph, with a search engine: implements `Web`.

    Pages are built when they are visited and go through HTML and the extraction that foreign pages
    get; the index is built at the first search. Holds nothing of any rollout: `cache` pages are
    kept by URL, the same for everyone, and any number of threads may use it.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        host: str = "https://{name}.example",
        cache: int = 4096,
    ) -> None:
        self.name = graph.name
        self.graph = graph
        self.site = Site(graph, host)
        self._lock = Lock()
        self._kept = lru_cache(maxsize=cache)(self._load)

    @cached_property
    def _index(self) -> SearchIndex:
        return SearchIndex.build(self.site.documents(), self.site.base)

    @property
    def index(self) -> SearchIndex:
        """The search index, built at first use."""
        with self._lock:
            return self._index

    def url_of(self, entity: str) -> str:
        """The URL of an entity's page. Raises KeyError for an id that the graph does not have."""
        return self.site.url_of(entity)

    def html(self, url: str) -> str | None:
        """The HTML that a server would send for the URL; None where it has no page."""
        document = self.site.document(url)
        return None if document is None else render(document, self.graph.language)

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
            reason = f"This address may not be fetched: only pages of {self.site.base} are here."
            return Page(url, "Refused", reason, (), "refused")
        return self._kept(canonical)

    def _load(self, url: str) -> Page:
        html = self.html(url)
        if html is None:
            return Page(url, "Not found", f"404: there is no page at {url}.", (), "not_found")
        return extract(html, url)
