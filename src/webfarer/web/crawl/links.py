"""What a crawl takes from a page: where it leads, what robots may do with it, its fingerprint."""

from __future__ import annotations

import re
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from webfarer.web.crawl.nearby import Print, fingerprint
from webfarer.web.flat import flat
from webfarer.web.http.canonical import canonical
from webfarer.web.http.charset import decode
from webfarer.web.http.exchange import Exchange

MOST_LINKS = 10_000  # of one page
HTML = frozenset({"text/html", "application/xhtml+xml"})
_LOC = re.compile(r"<loc>\s*(?:<!\[CDATA\[)?\s*([^<\]]{1,2000}?)\s*(?:\]\]>)?\s*</loc>")
_REFRESH = re.compile(r"^\s*\d*\.?\d*\s*[;,]\s*(?:url\s*=\s*)?['\"]?([^'\"]+)", re.IGNORECASE)
_LEAD = {"a": "href", "area": "href", "frame": "src"}
_FURNITURE = ("script", "style", "template", "noscript", "nav", "header", "footer", "aside")
_MOST_FURNITURE = 500
# Links within the page and those that are not to be followed never leave the parser: it is quick.
_FOLLOWED = ':not([href^="#"]):not([rel~="nofollow" i])'
_WANTED = ", ".join(
    [f"a[href]{_FOLLOWED}", f"area[href]{_FOLLOWED}", "frame[src]", "h1", *_FURNITURE]
)
_SKIPPED = ("#", "javascript:", "mailto:", "tel:", "data:")


class Reading(NamedTuple):
    """`links` are absolute, in order, each once; none where the page asks not to be followed.
    `indexed` is whether it lets itself be found by search."""

    links: tuple[str, ...]
    print: Print
    indexed: bool = True


def read_page(exchange: Exchange) -> Reading:
    """Reads a page, or a text, whose links are none unless it is a sitemap."""
    text = decode(exchange.body, exchange.header("content-type"))
    asked = exchange.header("x-robots-tag").lower()
    kind = exchange.content_type
    if kind in HTML or (not kind and re.search(r"<(?:!doctype|html|body)\b", text[:1000], re.I)):
        return _html(text, exchange.url, asked)
    links = _unique(_LOC.findall(text), exchange.url) if "xml" in kind else ()
    print = fingerprint("", text)._replace(near=None)
    return Reading(links, print, not _says(asked, "noindex"))


def _html(html: str, url: str, asked: str) -> Reading:
    tree = LexborHTMLParser(flat(html).encode("utf-8", "replace"))
    head = _Head(tree.head)
    asked = ",".join([asked, *head.robots])
    found = tree.css(_WANTED)
    links: tuple[str, ...] = ()
    if not _says(asked, "nofollow"):
        hrefs = [
            node.attributes.get(_LEAD[tag]) or "" for node in found if (tag := node.tag) in _LEAD
        ]
        links = _unique(
            [*hrefs, *head.links], (canonical(head.base, url) if head.base else None) or url
        )
    return Reading(links, _print(tree, head.title, found), not _says(asked, "noindex"))


def _says(asked: str, word: str) -> bool:
    return word in asked or re.search(r"(?:^|[\s,:])none(?:$|[\s,])", asked) is not None


class _Head:
    """What a page says in its head: `links` are its canonical address, the pages before and after
    it, and where it sends readers on; `robots` what it asks of them."""

    def __init__(self, head: LexborNode | None) -> None:
        self.base, self.title = "", ""
        self.links: list[str] = []
        self.robots: list[str] = []
        for node in head.css("base[href], title, link[rel][href], meta[content]") if head else ():
            getattr(self, f"_{node.tag}")(node, node.attributes)

    def _base(self, node: LexborNode, attributes: dict[str, str | None]) -> None:
        self.base = self.base or attributes["href"] or ""

    def _title(self, node: LexborNode, attributes: dict[str, str | None]) -> None:
        self.title = self.title or _text(node)

    def _link(self, node: LexborNode, attributes: dict[str, str | None]) -> None:
        if (attributes["rel"] or "").lower() in ("canonical", "next", "prev"):
            self.links.append(attributes["href"] or "")

    def _meta(self, node: LexborNode, attributes: dict[str, str | None]) -> None:
        content = attributes["content"] or ""
        if (attributes.get("name") or "").strip().lower() == "robots":
            self.robots.append(content.lower())
        elif (attributes.get("http-equiv") or "").strip().lower() == "refresh":
            found = _REFRESH.match(content)
            self.links.append(found[1] if found else "")


def _unique(hrefs: list[str], base: str) -> tuple[str, ...]:
    """Absolute and canonical, in order, each once."""
    seen = dict.fromkeys(href.partition("#")[0].strip() for href in hrefs)
    found: dict[str, None] = {}
    for href in seen:
        if href and not href.lower().startswith(_SKIPPED) and (url := canonical(href, base)):
            found[url] = None
            if len(found) == MOST_LINKS:
                break
    return tuple(found)


# Fingerprints


def _print(tree: LexborHTMLParser, title: str, found: list[LexborNode]) -> Print:
    """Of title, first heading and main text; the tree is used up by it."""
    heading = next((node for node in found if node.tag == "h1"), None)
    title = " / ".join(filter(None, (title, _text(heading))))
    _drop_furniture([node for node in found if node.tag in _FURNITURE])
    marked = tree.css("main, [role=main]") or tree.css("article")
    root = marked[0] if len(marked) == 1 else tree.body
    print = fingerprint(title, root.text(separator=" ") if root else "")
    return print if title else print._replace(near=None)


def _drop_furniture(found: list[LexborNode]) -> None:
    """Takes away what is no part of the text. Only the outermost, since what is inside goes with
    it; nothing of a page that has absurdly much of it."""
    if len(found) <= _MOST_FURNITURE:
        for node in [node for node in found if _outermost(node)]:
            node.decompose()


def _outermost(node: LexborNode) -> bool:
    parent = node.parent
    while parent is not None and parent.tag not in _FURNITURE:
        parent = parent.parent
    return parent is None


def _text(node: LexborNode | None) -> str:
    return " ".join(node.text().split()) if node else ""
