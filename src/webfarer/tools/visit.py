"""`visit`: the published schema (WebDancer), and what a page says about the goal.

What the web says is an observation with a type (CONTRIBUTING.md, "Whose fault is it?"): a page that
is not there, is empty, will not load or may not be fetched is told in one line. The line does not
repeat the address, which the policy wrote: it would count as having been read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from webfarer.tools.reader import ExtractiveReader, Reader, TokenCount, count_words, fit
from webfarer.tools.toolbox import problem_of
from webfarer.types import Observation, Page, PageStatus
from webfarer.web.base import Web

_SCHEMA = {
    "type": "object",
    "properties": {
        "url": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 2000},
            "minItems": 1,
            "maxItems": 10,
            "description": "The addresses to open: one, or an array of several.",
        },
        "goal": {
            "type": "string",
            "minLength": 1,
            "maxLength": 2000,
            "description": "What to look for on these pages.",
        },
    },
    "required": ["url", "goal"],
    "additionalProperties": False,
}

_SAID: dict[PageStatus, str] = {
    "not_found": "There is no page at this address.",
    "empty": "There is nothing on this page.",
    "unloadable": "This page would not load.",
    "refused": "This address may not be opened.",
    "not_archived": "This page is not in the archive.",
}


class VisitTool:
    """Opens pages of a web and gives what they say about a goal, in at most `limit` tokens.

    As published, `url` is an array and a single address in its place is read as an array of one.
    """

    name = "visit"
    description = "Opens one or more web pages and gives what they say about a goal."
    schema: dict[str, Any] = _SCHEMA

    def __init__(
        self,
        web: Web,
        reader: Reader | None = None,
        limit: int = 200,
        count: TokenCount = count_words,
    ) -> None:
        self.web, self.limit, self.count = web, limit, count
        self.reader: Reader = reader or ExtractiveReader()

    def problem(self, arguments: dict[str, Any]) -> str | None:
        """Why the arguments do not fit the schema, in one line; None if they do."""
        if isinstance(arguments.get("url"), str):
            arguments = {**arguments, "url": [arguments["url"]]}
        return problem_of(self.schema, arguments)

    async def call(self, arguments: dict[str, Any]) -> Observation:
        """What the pages say; of kind "ok" if any could be read. Raises `FailureError`."""
        urls = arguments["url"]
        urls = [urls] if isinstance(urls, str) else urls
        numbers: dict[str, int] = {}
        for number, url in enumerate(urls, 1):
            numbers.setdefault(url.strip(), number)
        pages = await asyncio.gather(*(self.web.visit(url) for url in numbers))
        kinds: list[PageStatus] = [_kind(page) for page in pages]
        text = await self._read(list(numbers.values()), pages, arguments["goal"])
        return Observation.of(text, "ok" if "ok" in kinds else kinds[0])

    async def _read(self, numbers: Sequence[int], pages: Sequence[Page], goal: str) -> str:
        """The budget is split evenly; what a page leaves over goes to those after it."""
        texts: list[str] = []
        for place, page in enumerate(pages):
            left = self.limit - self.count("\n\n".join([*texts, ""]))
            share = max(left // (len(pages) - place), 0)
            number = numbers[place] if len(pages) > 1 else None
            texts.append(await self._one(page, number, goal, share))
        return fit("\n\n".join(text for text in texts if text), self.limit, self.count)

    async def _one(self, page: Page, number: int | None, goal: str, limit: int) -> str:
        kind = _kind(page)
        if kind == "ok":
            return fit(await self.reader.read(page, goal, limit, self.count), limit, self.count)
        said = _SAID[kind] if number is None else f"Page {number}: {_lower(_SAID[kind])}"
        return fit(said, limit, self.count)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _kind(page: Page) -> PageStatus:
    return "empty" if page.status == "ok" and not page.text.strip() else page.status
