"""Which languages and properties of a large graph are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from webfarer.graph.rows import LANGUAGE
from webfarer.types import BadInput

_Text = TypeVar("_Text")


@dataclass(frozen=True)
class Filters:
    """Languages in order of liking; properties by id, or by whole IRI (none: all of them)."""

    languages: tuple[str, ...] = ("en",)
    properties: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for language in self.languages:
            if not LANGUAGE.fullmatch(language):
                raise BadInput(f"{language!r} is no language: give codes such as en,zh")
        if not self.languages:
            raise BadInput("no language is given: give at least one, such as en")

    @cached_property
    def _known(self) -> dict[str, tuple[str, int] | None]:
        return {"": (self.languages[0], 0)}

    def language(self, tag: str) -> tuple[str, int] | None:
        """The wanted language that a tag stands for, and 0; or 4 where it is but a variety of it,
        which is second choice. A text without a tag is in the first language."""
        if tag not in self._known:
            lower, found = tag.lower(), None
            for wanted in self.languages:
                if lower == wanted.lower():
                    found = (wanted, 0)
                elif found is None and lower.partition("-")[0] == wanted.lower():
                    found = (wanted, 4)
            self._known[tag] = found
        return self._known[tag]

    def wants(self, *names: str) -> bool:
        """Whether a property is wanted, which goes by these names."""
        if any(name in self.without for name in names):
            return False
        return not self.properties or any(name in self.properties for name in names)

    def chosen(self, texts: Mapping[str, _Text]) -> list[tuple[str, int, _Text]]:
        """Of texts by tag those wanted, each with its language and rank."""
        found = ((self.language(tag), text) for tag, text in texts.items() if tag)
        return [(*language, text) for language, text in found if language is not None]
