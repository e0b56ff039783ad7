"""`search`: the published schema (WebDancer), and hits within a token budget.

An observation costs context on every later turn, so it has a limit: snippets give way first, from
the least of the hits on, then hits. A URL is there whole or not at all. A query is named by its
number: an observation that repeated its words would count as having read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from webfarer.tools.reader import TokenCount, count_words, fit, longest, one_line, shorten
from webfarer.tools.toolbox import problem_of
from webfarer.types import Hit, Observation
from webfarer.web.base import Web

_SCHEMA = {
    "type": "object",
    "properties": {
        "query": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 1000},
            "minItems": 1,
            "maxItems": 10,
            "description": "The queries to run, each a few words; several may go in one call.",
        }
    },
    "required": ["query"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A hit as it will be printed; `rank` counts from 0 within its query."""

    query: int
    rank: int
    title: str
    url: str
    snippet: str

    @property
    def text(self) -> str:
        head = f"{self.rank + 1}. [{self.title}]({self.url})"
        return f"{head}\n{self.snippet}" if self.snippet else head


class SearchTool:
    """Searches a web. At most `k` hits a query and `limit` tokens an observation."""

    name = "search"
    description = "Searches the web. Gives the best hits of each query: title, address, snippet."
    schema: dict[str, Any] = _SCHEMA

    def __init__(
        self, web: Web, k: int = 3, limit: int = 200, count: TokenCount = count_words
    ) -> None:
        self.web, self.k, self.limit, self.count = web, k, limit, count

    def problem(self, arguments: dict[str, Any]) -> str | None:
        """Why the arguments do not fit the schema, in one line; None if they do."""
        return problem_of(self.schema, arguments)

    async def call(self, arguments: dict[str, Any]) -> Observation:
        """Numbered hits; of kind "empty" if no query has any. Raises `FailureError`."""
        queries = [one_line(query) for query in arguments["query"]]
        found = await self.web.search(queries, self.k)
        if any(found):
            return Observation.of(self._text(found))
        return Observation.of(fit("No results.", self.limit, self.count), "empty")

    def _text(self, found: Sequence[Sequence[Hit]]) -> str:
        shown = [
            _Shown(query, rank, one_line(hit.title) or hit.url, hit.url, one_line(hit.snippet))
            for query, hits in enumerate(found)
            for rank, hit in enumerate(hits[: self.k])
        ]
        # Least first: the last hit of every query gives way before the first hit of any.
        least_first = sorted(range(len(shown)), key=lambda i: (-shown[i].rank, -shown[i].query))
        for place in least_first:
            if self._fits(_page(len(found), shown)):
                return _page(len(found), shown)
            shown[place] = self._shortened(place, len(found), shown)
        return self._fewest(len(found), shown, least_first)

    def _shortened(self, place: int, queries: int, shown: Sequence[_Shown]) -> _Shown:
        """The hit with as much of its snippet as fits, given what the others take."""

        def fits(snippet: str) -> bool:
            hits = [*shown[:place], replace(shown[place], snippet=snippet), *shown[place + 1 :]]
            return self._fits(_page(queries, hits))

        snippet = shorten(shown[place].snippet, fits) if fits("") else ""
        return replace(shown[place], snippet=snippet)

    def _fewest(self, queries: int, shown: Sequence[_Shown], least_first: Sequence[int]) -> str:
        """As many hits as fit without a snippet; where not one does, the first without queries."""

        def page(kept: int) -> str:
            chosen = sorted(least_first[len(least_first) - kept :])
            return _page(queries, [shown[place] for place in chosen])

        if kept := longest(len(shown), lambda n: self._fits(page(n))):
            return page(kept)
        best = shown[least_first[-1]]
        title = shorten(best.title, lambda text: self._fits(replace(best, title=text).text))
        if title:
            return replace(best, title=title).text
        return fit("No hit fits here.", self.limit, self.count)

    def _fits(self, text: str) -> bool:
        return self.count(text) <= self.limit


def _page(queries: int, shown: Sequence[_Shown]) -> str:
    """The hits, under their query's number where there is more than one."""
    lines: list[str] = []
    for place in range(queries):
        hits = [hit for hit in shown if hit.query == place]
        if queries > 1:
            lines.append(f"Query {place + 1}:" if hits else f"Query {place + 1}: no results.")
        lines += [hit.text for hit in hits]
    return "\n".join(lines)
