"""HTML elements to markdown, in one walk that no depth of nesting can break.

Plain by default: emphasis and inline code leave no marks, because an agent pays for each of them.
Headings, lists, quotes, tables and preformatted text keep their shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from selectolax.lexbor import LexborNode

from webfarer.types import Link


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BREAKS = re.compile(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Controls, soft hyphens, zero-width and bidirectional marks: nothing that a reader would see.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f\x80-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = _words(
    "address article aside body caption center dd details div dl dt fieldset figcaption figure "
    "footer form header hr legend main nav p section summary table tbody td tfoot th thead "
    "tr"
)
_SHAPING = _BLOCKS | frozenset(_HEADINGS) | _words("a br img sup ul ol li blockquote pre table")
_IN_LAYOUT = "h1, h2, h3, h4, h5, h6, pre, blockquote, p + p, dl"
_MAX_INDENT = 8  # deeper nesting is written at this depth: text must not grow with its square
_MAX_TABLES = 16  # and tables nested deeper than this are for layout without looking

Entered = tuple[LexborNode | None, str]


def walk(root: LexborNode, drop: Callable[[LexborNode, str], bool]) -> Iterator[Entered]:
    """Elements and texts below the root in document order, what `drop` accepts left out.

    Yields (node, tag) on entering an element, (node, "-text") at a text, and (None, tag) on
    leaving an element.
    """
    open_tags: list[str] = []
    node: LexborNode | None = root
    while node is not None:
        tag = node.tag or ""
        child = None
        if tag == "-text":
            yield node, tag
        elif node.is_element_node and not drop(node, tag):
            yield node, tag
            child = node.first_child
            if child is None:
                yield None, tag
            else:
                open_tags.append(tag)
        following = child
        while following is None and open_tags:
            following = node.next
            if following is None:
                parent = node.parent
                assert parent is not None, "an element that was entered is the parent"
                node = parent
                yield None, open_tags.pop()
        node = following


class Markdown:
    """Collects what `walk` yields into markdown `text` and `links`; `resolve` makes URLs absolute.

    With `inline_links`, links are written `[text](url)`.
    """

    def __init__(self, resolve: Callable[[str], str | None], inline_links: bool = False) -> None:
        self._resolve = resolve
        self._inline_links = inline_links
        self._links: dict[str, Link] = {}
        self._blocks: list[str] = []
        self._kind = ""  # of the last block: items of a list and rows of a table stay together
        self._buffer: list[str] = []
        self._lists: list[int | None] = []  # the number of the last item; None: bullets
        self._list_number = 0
        self._bullet = False  # an item has begun whose mark is not written yet
        self._quotes = 0
        self._heading = 0
        self._pre = 0
        self._tables: list[bool] = []  # whether each open table holds data
        self._table_number = 0
        self._row: list[str] = []
        self._anchor: str | None = None
        self._anchor_text: list[str] = []
        self._anchor_start = 0

    @property
    def text(self) -> str:
        self._flush()
        return "".join(self._blocks).strip("\n")

    @property
    def links(self) -> tuple[Link, ...]:
        return tuple(self._links.values())

    def feed(self, events: Iterator[Entered]) -> None:
        for node, tag in events:
            if tag == "-text":
                self._add((node and node.text_content) or "")
            elif tag not in _SHAPING:
                continue
            elif node is None:
                self._leave(tag)
            else:
                self._enter(node, tag)

    # Elements

    def _enter(self, node: LexborNode, tag: str) -> None:
        if tag == "a":
            self._open_anchor(node)
        elif tag == "br":
            self._buffer.append("\n")
        elif tag == "img":
            self._image(node)
        elif tag == "sup":
            if self._buffer and self._buffer[-1][-1:].isdigit():
                self._add("^")  # 10<sup>6</sup> is not 106
        elif tag in _HEADINGS:
            self._break()
            self._heading = _HEADINGS[tag]
        elif tag in ("ul", "ol"):
            self._break()
            self._list_number += not self._lists
            self._lists.append(_start(node) - 1 if tag == "ol" else None)
        elif tag == "li":
            self._item()
        elif tag == "blockquote":
            self._break()
            self._quotes += 1
        elif tag == "pre":
            self._break()
            self._pre += 1
        elif tag == "table":
            self._break()
            self._open_table(node)
        elif tag in _BLOCKS:
            self._break()
            self._open_cell(tag)

    def _leave(self, tag: str) -> None:
        if tag == "a":
            self._close_anchor()
        elif tag in _HEADINGS:
            self._flush()
            self._heading = 0
        elif tag in ("ul", "ol"):
            self._break()
            if self._lists:
                self._lists.pop()
            self._bullet = False
        elif tag == "li":
            self._buffer.append("; ") if self._in_cell else self._flush()
            self._bullet = False
        elif tag == "blockquote":
            self._break()
            self._quotes -= 1
        elif tag == "pre":
            self._close_pre()
        elif tag in _BLOCKS:
            self._close_cell(tag) if self._in_cell else self._break()
            if tag == "table":
                self._tables.pop()

    def _item(self) -> None:
        self._break()
        self._bullet = True
        if self._lists and (number := self._lists[-1]) is not None:
            self._lists[-1] = number + 1

    def _image(self, node: LexborNode) -> None:
        alt = " ".join((node.attributes.get("alt") or "").split())
        if alt:
            self._add(f"[Image: {alt}]")

    # Links

    def _open_anchor(self, node: LexborNode) -> None:
        href = node.attributes.get("href")
        self._anchor = self._resolve(href) if href else None
        self._anchor_text = []
        self._anchor_start = len(self._buffer)

    def _close_anchor(self) -> None:
        url, self._anchor = self._anchor, None
        text = " ".join("".join(self._anchor_text).split())
        if url is None or not text:
            return
        if self._inline_links and 0 <= self._anchor_start < len(self._buffer):
            inner = "".join(self._buffer[self._anchor_start :])
            self._buffer[self._anchor_start :] = [f"[{inner.strip()}]({url})"]
        self._links.setdefault(url, Link(url, text))

    # Tables

    @property
    def _in_cell(self) -> bool:
        return bool(self._tables) and self._tables[-1]

    def _open_table(self, node: LexborNode) -> None:
        deep = len(self._tables) >= _MAX_TABLES  # css() counts the table itself
        layout = deep or len(node.css("table")) > 1 or node.css_first(_IN_LAYOUT) is not None
        self._tables.append(not layout)
        self._table_number += 1

    def _open_cell(self, tag: str) -> None:
        if tag == "tr" and self._in_cell:
            self._row = []

    def _close_cell(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._row.append(self._take(" ").strip("; ").replace("|", "\\|"))
        elif tag == "tr" and any(self._row):
            self._emit("| " + " | ".join(self._row) + " |", f"table {self._table_number}")
        elif tag == "caption":
            self._emit(self._take(" "), "")
        else:
            self._buffer.append(" ")

    # Text

    def _add(self, text: str) -> None:
        if not self._pre and not text.isprintable():
            text = _BREAKS.sub(" ", text)
        self._buffer.append(text)
        if self._anchor is not None:
            self._anchor_text.append(text)

    def _break(self) -> None:
        """A block begins or ends: a new paragraph, but only a space in a cell or a heading."""
        if self._in_cell or self._heading or self._pre:
            self._buffer.append("\n" if self._pre and self._buffer else " ")
        else:
            self._flush()

    def _take(self, newline: str) -> str:
        """What the buffer holds, white space collapsed and line breaks written as given."""
        text = "".join(self._buffer)
        self._buffer.clear()
        self._anchor_start = -1
        if text.isprintable():  # so it has neither lines nor anything to take out
            return " ".join(text.split())
        text = _INVISIBLE.sub("", text)
        lines = (" ".join(line.split()) for line in text.split("\n"))
        return newline.join(line for line in lines if line)

    def _flush(self) -> None:
        if self._heading:
            text = self._take(" ")
            self._emit(f"{'#' * self._heading} {text}" if text else "", "")
        elif self._buffer:
            self._emit(self._take("\n"), "")

    def _close_pre(self) -> None:
        self._pre = max(0, self._pre - 1)
        if self._pre:
            return
        text = _INVISIBLE.sub("", "".join(self._buffer).replace("\r\n", "\n").replace("\r", "\n"))
        self._buffer.clear()
        self._anchor_start = -1
        if text.strip():
            longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
            fence = "`" * (longest + 1)
            self._emit(f"{fence}\n{text.strip(chr(10)).rstrip()}\n{fence}", "")

    def _emit(self, text: str, kind: str) -> None:
        """Writes a block, marked and indented as the open lists and quotes ask."""
        if not text:
            return
        first = rest = "> " * min(self._quotes, _MAX_INDENT)
        if self._lists:
            kind = kind or f"list {self._list_number}"
            indent = "  " * (min(len(self._lists), _MAX_INDENT) - 1)
            number = self._lists[-1]
            mark = "- " if number is None else f"{number}. "
            first += indent + (mark if self._bullet else "  ")
            rest += indent + "  "
            self._bullet = False
        if self._blocks:
            self._blocks.append("\n" if kind and kind == self._kind else "\n\n")
        self._kind = kind
        self._blocks.append(first + text.replace("\n", "\n" + rest))


def _start(node: LexborNode) -> int:
    text = (node.attributes.get("start") or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
