"""A page's HTML to the markdown of its main content: for pages of ours and foreign ones alike.

Where a page marks its main content (`main`, `article`), that is taken. Where it does not, it is the
smallest block that still holds most of the page's prose, prose being text outside links
(text and link density as in Kohlschuetter, Fankhauser and Nejdl, WSDM 2010), and blocks in it that
are mostly links are left out. What survives nothing of this is read whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urldefrag, urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from webfarer.types import Page
from webfarer.web.flat import flat
from webfarer.web.markdown import Markdown, walk


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER = _words(
    "audio button canvas datalist dialog embed head iframe input map noscript object option "
    "progress script select style svg template textarea video"
)
_FURNITURE = _words("nav aside footer menu")
_SKIPPED = _NEVER | _FURNITURE
_ROLES = _words(
    "alertdialog banner complementary contentinfo dialog menu menubar navigation search toolbar"
)
# Whole class names and ids that sites give to what is not the page.
_CLUTTER = re.compile(
    r"(?:^|\s)(?:(?:cookie|consent|gdpr|advert|newsletter|breadcrumb|share-|social-)[\w-]*"
    r"|ads?|ad-[\w-]*|sidebar|side-bar|navbar|navigation|nav|menu|footer|site-(?:header|footer)"
    r"|popup|modal|overlay|related-(?:posts|articles)|skip-link|headerlink|mw-editsection|navbox"
    r"|noprint|print-only|visually-hidden|sr-only|screen-reader-text)(?:\s|$)",
    re.IGNORECASE,
)
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CONTAINERS = _words("body div section table tbody tr td center form main article font span")
_LISTS = _words("div section table ul ol dl")
_MAIN_SHARE = 0.7  # of the page's prose, that the main block has to hold
_LINKS_TO_PROSE = 3.0  # a block with more linked text than this times its prose is a menu

Weights = dict[int, tuple[int, int]]  # by node: characters of prose, and of linked text


def extract(html: str, url: str, *, links: bool = False) -> Page:
    """The page's main content as markdown, its title, and its links in order, each once.

    Links are absolute http(s) URLs without fragments; with `links` they are also written in the
    text as `[text](url)`. A page without any text has status "empty". Never raises for what the
    HTML is, and takes time about linear in its length.
    """
    tree = LexborHTMLParser(flat(html).encode("utf-8", "replace"))
    body = tree.body or tree.root
    if body is None:
        return Page(url, "", "", (), "empty")
    resolve = _resolver(url, tree)
    root, drop = _main_content(tree, body)
    for start, skip in ((root, drop), (body, _is_clutter), (body, _is_never)):
        markdown = Markdown(resolve, links)
        markdown.feed(walk(start, skip))
        if text := markdown.text:
            return Page(url, _title(tree, start), text, markdown.links)
    return Page(url, _title(tree, body), "", (), "empty")


# What is left out


def _is_never(node: LexborNode, tag: str) -> bool:
    """What is no text for a reader, wherever it stands."""
    return tag in _NEVER


def _is_clutter(node: LexborNode, tag: str) -> bool:
    """What a reader would skip: navigation, notices, the hidden, and the site's own header."""
    if tag in _SKIPPED:
        return True
    attributes = node.attributes
    if attributes and _is_marked(attributes) and tag not in ("body", "main"):
        return True
    return tag == "header" and not _within_content(node)


def _is_marked(attributes: dict[str, str | None]) -> bool:
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    if (attributes.get("role") or "") in _ROLES:
        return True
    if (names := attributes.get("class")) and _names_clutter(names):
        return True
    if (name := attributes.get("id")) and _CLUTTER.search(name):
        return True
    style = attributes.get("style")
    return bool(style and _UNSEEN.search(style))


@lru_cache(1 << 12)
def _names_clutter(names: str) -> bool:
    """Whether a class says that its element is not the page; classes come again and again."""
    return _CLUTTER.search(names) is not None


def _within_content(node: LexborNode) -> bool:
    """Whether a header belongs to an article: looked for a few levels up, so as to stay quick."""
    for _ in range(8):
        parent = node.parent
        if parent is None:
            return False
        if parent.tag in ("main", "article") or parent.attributes.get("role") == "main":
            return True
        node = parent
    return False


# Where the main content is


def _main_content(
    tree: LexborHTMLParser, body: LexborNode
) -> tuple[LexborNode, Callable[[LexborNode, str], bool]]:
    """The element to read, and what to leave out of it."""
    marked = tree.css("main, [role=main]") or tree.css("article")
    if len(marked) == 1:
        return marked[0], _is_clutter
    if marked and len(marked) <= 50:
        sizes = [sum(len(node.text_content or "") for node in _texts(one)) for one in marked]
        if max(sizes) >= _MAIN_SHARE * sum(sizes):
            return marked[sizes.index(max(sizes))], _is_clutter
    weights = _weigh(body)
    root = _densest(body, weights)
    whole = sum(weights.get(root.mem_id, (0, 0)))

    def drop(node: LexborNode, tag: str) -> bool:
        if _is_clutter(node, tag):
            return True
        if tag not in _LISTS:
            return False
        prose, linked = weights.get(node.mem_id, (0, 0))
        return 40 <= linked <= whole / 2 and linked > _LINKS_TO_PROSE * prose

    return root, drop


def _texts(root: LexborNode) -> list[LexborNode]:
    return [node for node, tag in walk(root, _is_never) if node is not None and tag == "-text"]


def _weigh(body: LexborNode) -> Weights:
    """Characters of prose and of linked text in each element that is not clutter."""
    weights: Weights = {}
    open_nodes: list[tuple[int, int, int]] = []
    prose = linked = anchors = 0
    for node, tag in walk(body, _is_clutter):
        if node is None:
            id, prose_before, linked_before = open_nodes.pop()
            weights[id] = prose - prose_before, linked - linked_before
            anchors -= tag == "a"
        elif tag != "-text":
            open_nodes.append((node.mem_id, prose, linked))
            anchors += tag == "a"
        elif size := len((node.text_content or "").strip()):
            prose, linked = prose + size * (not anchors), linked + size * bool(anchors)
    return weights


def _densest(body: LexborNode, weights: Weights) -> LexborNode:
    """The smallest container that holds most of the prose of the body."""
    needed = _MAIN_SHARE * weights.get(body.mem_id, (0, 0))[0]
    node = body
    while needed:
        child = node.first_child
        while child is not None and weights.get(child.mem_id, (0, 0))[0] < needed:
            child = child.next
        if child is None or child.tag not in _CONTAINERS:
            break
        node = child
    return node


# Titles and links


def _title(tree: LexborHTMLParser, root: LexborNode) -> str:
    """The content's first heading where the page's title holds it; else the title."""
    heading = _text_of(root.css_first("h1") or tree.css_first("h1"))
    title = _text_of(tree.css_first("title"))
    if heading and (not title or heading.lower() in title.lower()):
        return heading
    return title or heading


def _text_of(node: LexborNode | None) -> str:
    """An element's text on one line, marks such as a heading's own link left out."""
    if node is None:
        return ""
    events = walk(node, lambda child, tag: tag != "title" and _is_clutter(child, tag))
    texts = (node.text_content or "" for node, tag in events if node and tag == "-text")
    return " ".join("".join(texts).split())


def _resolver(url: str, tree: LexborHTMLParser) -> Callable[[str], str | None]:
    """Makes hrefs of the page absolute; None for what is no http(s) link."""
    base_node = tree.css_first("base[href]")
    base = _join(url, (base_node.attributes.get("href") or "") if base_node else "") or url
    try:
        parts = urlsplit(base)
        origin = f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else ""
    except ValueError:
        origin = ""

    def resolve(href: str) -> str | None:
        href = href.strip()
        if origin and re.fullmatch(r"/(?!/)[\w\-.~%!$&'()*+,;=:@/?]*", href) and "/." not in href:
            return origin + href  # the common case, at a tenth of the time
        return None if href.startswith("#") else join(href.partition("#")[0])

    @lru_cache(1 << 12)
    def join(href: str) -> str | None:
        return _join(base, href)

    return resolve


def _join(base: str, href: str) -> str | None:
    try:
        url = urldefrag(urljoin(base, href)).url
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None
