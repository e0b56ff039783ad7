"""An exchange as an agent reads it: the one way from what a server sent to a `Page`.

The live web and an archive of it go through the same function, so that a page that was recorded
reads as it did when it was fetched, byte for byte.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from webfarer.types import Page
from webfarer.web.extract import extract
from webfarer.web.http.charset import decode
from webfarer.web.http.exchange import Exchange

_HTML = ("text/html", "application/xhtml+xml")
_TEXT = re.compile(r"text/(?!css|javascript).*|application/(?:[\w.-]+\+)?(?:json|xml|yaml)")
_TAGS = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body)\b",
                   re.IGNORECASE | re.DOTALL)  # fmt: skip
_GONE = (404, 410)


def page_of(exchange: Exchange) -> Page:
    """What the exchange says: a page, or why there is none.

    HTML is extracted, any other text taken as it is, under the last part of its address. 404 and
    410 are "not_found", other errors and what is no text "unloadable". A redirect is not followed
    here: it is "unloadable" too.
    """
    url, status = exchange.url, exchange.status
    if status in _GONE:
        return Page(url, "Not found", f"{status}: there is no page at {url}.", (), "not_found")
    if not 200 <= status <= 299:
        said = f"{status} {exchange.reason}".strip()
        return Page(url, "Unloadable", f"{said}: {url} would not load.", (), "unloadable")
    if not is_readable(exchange.content_type):
        said = f"{url} is {exchange.content_type}, which cannot be read as text."
        return Page(url, "Unloadable", said, (), "unloadable")
    text = decode(exchange.body, exchange.header("content-type"))
    if exchange.content_type in _HTML or (not exchange.content_type and _TAGS.match(text)):
        return extract(text, url)
    return _plain(text, url)


def is_readable(content_type: str) -> bool:
    """Whether a media type is HTML or another text; where none was sent, it is taken for one."""
    return not content_type or content_type in _HTML or bool(_TEXT.fullmatch(content_type))


def is_article(content_type: str) -> bool:
    """Whether a body of that type is for people to read, and so to be found by search: HTML and
    plain text, but no style sheets, feeds or data."""
    return not content_type or content_type in (*_HTML, "text/plain", "text/markdown")


def _plain(text: str, url: str) -> Page:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").strip()
    path = unquote(urlsplit(url).path).rstrip("/")
    title = path.rpartition("/")[2] or urlsplit(url).netloc
    return Page(url, title, text, (), "ok" if text else "empty")
