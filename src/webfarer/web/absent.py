"""What is said of an address that has no page: each said in one place, however a web is reached."""

from __future__ import annotations

from webfarer.graph.graph import Language
from webfarer.types import Page
from webfarer.web.phrases_zh import phrases_in


def refused(url: str, base: str, language: Language = "en") -> Page:
    """Of an address that is none of the web's, whose main site is at `base`."""
    phrases = phrases_in(language)
    return Page(url, phrases.refused, phrases.only_here(base), (), "refused")


def not_found(url: str, language: Language = "en") -> Page:
    """Of an address of the web where there is no page."""
    phrases = phrases_in(language)
    return Page(url, phrases.not_found, phrases.no_page(url), (), "not_found")


def not_archived(url: str, archive: str) -> Page:
    """Of an address that the archive of that name has no record of."""
    said = f"{url} was never recorded in the archive {archive}."
    return Page(url, "Not archived", said, (), "not_archived")
