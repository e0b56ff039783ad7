"""What a `WebServer` answers by itself: texts, JSON, site maps and plain pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from webfarer.graph.graph import Language
from webfarer.web.document import Chrome, Document, Paragraph, Run, Section
from webfarer.web.html import render
from webfarer.web.http.exchange import Exchange

HTML, JSON = "text/html; charset=utf-8", "application/json"


def ok(kind: str, text: str) -> Exchange:
    """A text of that media type."""
    return Exchange("", 200, (("Content-Type", kind),), text.encode("utf-8", "replace"))


def as_json(value: Any) -> Exchange:
    return ok(JSON, json.dumps(value, ensure_ascii=False))


def site_map(root: str, tag: str, urls: Iterable[str]) -> Exchange:
    """URLs as sitemaps.org has them: a "urlset" of "url", or a "sitemapindex" of "sitemap"."""
    lines = (f"<{tag}><loc>{escape(url)}</loc></{tag}>" for url in urls)
    opening = f'<{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    text = "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', opening, *lines, f"</{root}>\n"])
    return ok("application/xml", text)


def as_page(
    title: str, sections: Sequence[Section], site: str = "", language: Language = "en"
) -> Exchange:
    """A page of the `site`, which can be searched; of none, of the server itself."""
    chrome = Chrome(site or "Webfarer", searchable=bool(site))
    page = Document("", title, sections=tuple(sections), chrome=chrome, language=language)
    return ok(HTML, render(page))


def said(status: int, title: str, text: str, site: str = "", language: Language = "en") -> Exchange:
    """A page of one paragraph, under a status."""
    page = as_page(title, [Section("", (Paragraph((Run(text),)),))], site, language)
    return replace(page, status=status)
