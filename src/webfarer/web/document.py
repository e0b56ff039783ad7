"""`Document`: a page of a graph-backed web as data, before it is HTML.

The search index reads the document; a visitor is given the HTML made from it, read back by the
same extraction that foreign pages get.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from webfarer.graph.graph import Language
from webfarer.web.phrases_zh import phrases_in


class Run(NamedTuple):
    """A run of text, a link where it has a URL (a path on the same host)."""

    text: str
    url: str | None = None


Runs = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    runs: Runs


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[Runs, ...]


@dataclass(frozen=True, slots=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[Runs, ...], ...]


Block = Paragraph | Bullets | Table


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading; under none where it is empty."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class InfoRow:
    """A row of an infobox; several values are written as the page's language lists them."""

    label: str
    values: Runs


@dataclass(frozen=True, slots=True)
class Chrome:
    """What every page of a site repeats and no reader came for: navigation and clutter, and a
    field to search it where it is `searchable`."""

    site: str
    navigation: Runs = ()
    popular: Runs = ()
    notice: str = ""
    footer: str = ""
    searchable: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """A page: its content first, then the ways on from it, then the site's clutter.

    `title` is unique on its site as far as labels allow; `aliases` are other names of the page's
    subject, by which it is found; `trail` leads to it from the top of its site; `language` is the
    one that it is written in.
    """

    url: str
    title: str
    description: str = ""
    aliases: tuple[str, ...] = ()
    lead: tuple[Paragraph, ...] = ()
    infobox: tuple[InfoRow, ...] = ()
    sections: tuple[Section, ...] = ()
    see_also: Runs = ()
    categories: Runs = ()
    trail: Runs = ()
    chrome: Chrome = Chrome("")
    language: Language = "en"

    def passages(self) -> Iterator[str]:
        """The content as plain text, clutter left out: a paragraph, item or row at a time."""
        for paragraph in self.lead:
            yield plain(paragraph.runs)
        phrases = phrases_in(self.language)
        for row in self.infobox:
            values = phrases.comma.join(run.text for run in row.values)
            yield f"{row.label}{phrases.colon}{values}"
        for section in self.sections:
            if section.heading:
                yield section.heading
            for block in section.blocks:
                yield from _block_passages(block, phrases.comma)


def plain(runs: Runs) -> str:
    """The text of some runs."""
    return "".join(run.text for run in runs)


def _block_passages(block: Block, comma: str) -> Iterator[str]:
    match block:
        case Paragraph(runs):
            yield plain(runs)
        case Bullets(items):
            yield comma.join(plain(item) for item in items)
        case Table(head, rows):
            if head:
                yield " | ".join(head)
            for row in rows:
                yield " | ".join(plain(cell) for cell in row)
