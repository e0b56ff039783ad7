"""`flat`: HTML that no depth of nesting makes slow to parse."""

from __future__ import annotations

import re

# The parser looks for an open paragraph at every block it opens, through all that are open: time
# grows with the square of the depth. Containers deeper than anyone nests are therefore flattened.
_MAX_DEPTH = 12_000
_OTHERS = "p|li|dt|dd|tr|td|th|option|br|hr|img|input|meta|link|col|wbr|source|area|base"
_NESTING = re.compile(rf"<(/?)(?!(?:{_OTHERS})\b)[a-z][^\s<>/]*[^<>]*>", re.IGNORECASE)
# The same, but taking for opened what only begins like a tag, or is one of the others in upper
# case: nearly twice as quick.
_AT_MOST = re.compile(rf"<(?:(/)(?!(?i:{_OTHERS})\b)[a-zA-Z][^<>]*>|(?!(?:{_OTHERS})\b)[a-zA-Z])")
_STRETCH = _MAX_DEPTH // 2  # tags


def flat(html: str) -> str:
    """The HTML itself; where it is nested absurdly deep, its containers taken away."""
    if html.count("<") <= _MAX_DEPTH:
        return html
    deep = _may_be_deep(_AT_MOST.findall(html)) and _is_deep(_NESTING.findall(html))
    return _NESTING.sub(" ", html) if deep else html


def _may_be_deep(slashes: list[str]) -> bool:
    """Whether so many tags may be open at once; a slash stands for one that closes. Stretch by
    stretch, as if all that a stretch opens came before what it closes."""
    depth = 0
    for start in range(0, len(slashes), _STRETCH):
        stretch = slashes[start : start + _STRETCH]
        closed = stretch.count("/")
        opened = len(stretch) - closed
        if depth + opened > _MAX_DEPTH:
            return True
        depth = max(opened, depth + opened - closed)
    return False


def _is_deep(slashes: list[str]) -> bool:
    depth = 0
    for slash in slashes:
        depth = max(0, depth - 1) if slash else depth + 1
        if depth > _MAX_DEPTH:
            return True
    return False
