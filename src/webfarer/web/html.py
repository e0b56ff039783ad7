"""A `Document` as HTML5: semantic, self-contained, the same bytes for the same document."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from webfarer.web.document import (
    Block,
    Bullets,
    Chrome,
    Document,
    InfoRow,
    Paragraph,
    Runs,
    Section,
    Table,
)
from webfarer.web.phrases import Phrases
from webfarer.web.phrases_zh import phrases_in

_STYLE = (
    "body{font:16px/1.5 Georgia,serif;max-width:70rem;margin:auto;padding:0 1rem}"
    ".layout{display:flex;gap:2rem}main{flex:1}aside{width:14rem;font-size:.9em}"
    ".infobox{float:right;margin:0 0 1rem 1rem;border:1px solid #aaa;max-width:22rem}"
    ".infobox th{text-align:left;vertical-align:top;padding-right:1rem}"
    ".cookie-notice{background:#eee;padding:.5rem}"
)


def render(document: Document) -> str:
    """The document as one HTML page. All text is escaped; links are as the document has them."""
    return "\n".join(_page(document, phrases_in(document.language))) + "\n"


def _page(document: Document, phrases: Phrases) -> Iterator[str]:
    chrome = document.chrome
    yield f'<!DOCTYPE html>\n<html lang="{escape(document.language)}">\n<head>'
    yield '<meta charset="utf-8">'
    yield f"<title>{escape(document.title)} - {escape(chrome.site)}</title>"
    if document.description:
        yield f'<meta name="description" content="{escape(document.description)}">'
    if document.url:
        yield f'<link rel="canonical" href="{escape(document.url)}">'
    yield f"<style>{_STYLE}</style>\n</head>\n<body>"
    yield from _top(chrome, phrases)
    yield '<div class="layout">\n<main>\n<article>'
    if document.trail:
        trail = " / ".join(_inline((run,)) for run in document.trail)
        yield f'<nav class="breadcrumb">{trail}</nav>'
    yield f"<h1>{escape(document.title)}</h1>"
    for paragraph in document.lead:
        yield f"<p>{_inline(paragraph.runs)}</p>"
    if document.infobox:
        yield from _infobox(document.infobox, phrases)
    for section in document.sections:
        yield from _section(section)
    yield from _ways_on(document, phrases)
    yield "</article>\n</main>"
    yield from _side(chrome, phrases)
    yield f"</div>\n<footer><p>{escape(chrome.footer)}</p></footer>\n</body>\n</html>"


def _top(chrome: Chrome, phrases: Phrases) -> Iterator[str]:
    if chrome.notice:
        yield '<div class="cookie-notice" role="dialog">'
        yield f"<p>{escape(chrome.notice)}</p> <button>{escape(phrases.accept)}</button></div>"
    yield f'<header class="site-header"><a href="/">{escape(chrome.site)}</a>'
    if chrome.searchable:
        hint = escape(phrases.search)
        yield f'<form role="search" action="/search"><input name="q" placeholder="{hint}"></form>'
    yield f"<nav>{_list(tuple((run,) for run in chrome.navigation))}</nav></header>"


def _side(chrome: Chrome, phrases: Phrases) -> Iterator[str]:
    if chrome.popular:
        yield f'<aside class="sidebar"><h2>{escape(phrases.popular)}</h2>'
        yield f"{_list(tuple((run,) for run in chrome.popular))}</aside>"


def _infobox(rows: tuple[InfoRow, ...], phrases: Phrases) -> Iterator[str]:
    yield '<table class="infobox">'
    for row in rows:
        values = phrases.comma.join(_inline((run,)) for run in row.values)
        yield f'<tr><th scope="row">{escape(row.label)}</th><td>{values}</td></tr>'
    yield "</table>"


def _section(section: Section) -> Iterator[str]:
    yield f"<section>\n<h2>{escape(section.heading)}</h2>" if section.heading else "<section>"
    for block in section.blocks:
        yield _block(block)
    yield "</section>"


def _ways_on(document: Document, phrases: Phrases) -> Iterator[str]:
    if document.see_also:
        yield f'<section class="see-also">\n<h2>{escape(phrases.see_also)}</h2>'
        yield f"{_list(tuple((run,) for run in document.see_also))}\n</section>"
    if document.categories:
        links = phrases.comma.join(_inline((run,)) for run in document.categories)
        yield f'<p class="categories">{escape(phrases.categories + phrases.colon)}{links}</p>'


def _block(block: Block) -> str:
    match block:
        case Paragraph(runs):
            return f"<p>{_inline(runs)}</p>"
        case Bullets(items):
            return _list(items)
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = ["".join(f"<td>{_inline(cell)}</td>" for cell in row) for row in table.rows]
    return "\n".join(
        ["<table>", *(f"<tr>{row}</tr>" for row in ([head] if head else []) + rows), "</table>"]
    )


def _list(items: tuple[Runs, ...]) -> str:
    return "\n".join(["<ul>", *(f"<li>{_inline(item)}</li>" for item in items), "</ul>"])


def _inline(runs: Runs) -> str:
    return "".join(
        escape(text) if url is None else f'<a href="{escape(url)}">{escape(text)}</a>'
        for text, url in runs
    )
