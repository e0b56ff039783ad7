"""N-Triples: one RDF triple a line (https://www.w3.org/TR/n-triples/).

A regular expression of our own: as fast as pyoxigraph's parser is through Python (both a million
triples a second), without a dependency, and a line that is no triple is skipped: a dump of a
billion lines always has some.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Literal(NamedTuple):
    """A literal's text, with its datatype's IRI or its language in lower case where it has one."""

    text: str
    datatype: str = ""
    language: str = ""


class Statement(NamedTuple):
    """Subject and object are an IRI, or `_:name` for a blank node; an object may be a literal."""

    subject: str
    predicate: str
    object: str | Literal


_CODE = r"\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}"
_PART = r"[^\x00-\x20<>\"{}|^`\\]*"
_IRI = rf"<([A-Za-z][A-Za-z0-9+.\-]*:{_PART}(?:(?:{_CODE}){_PART})*)>"
_BLANK = r"(_:[\w:](?:[\w:.\-\u00b7]*[\w:\-\u00b7])?)"
_TEXT = rf"\"([^\"\\\n\r]*(?:(?:\\[tbnrf\"'\\]|{_CODE})[^\"\\\n\r]*)*)\""
_TAIL = rf"(?:\^\^{_IRI}|@([A-Za-z]+(?:-[A-Za-z0-9]+)*))?"
_LINE = re.compile(
    rf"[ \t]*(?:{_IRI}|{_BLANK})[ \t]*{_IRI}[ \t]*(?:{_IRI}|{_BLANK}|{_TEXT}{_TAIL})"
    r"[ \t]*\.[ \t]*(?:#[^\r\n]*)?\r?\n?"
)
_NOTHING = re.compile(r"[ \t]*(?:#[^\r\n]*)?\r?\n?")
_ESCAPE = re.compile(rf"\\[tbnrf\"'\\]|{_CODE}")
_PLAIN = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"}


def parse_line(line: str) -> Statement | None:
    """The line's triple; None for an empty line or a comment. Raises ValueError on others."""
    match = _LINE.fullmatch(line)
    if match is None:
        if _NOTHING.fullmatch(line):
            return None
        raise ValueError("not a triple")
    subject, blank, predicate, object, node, text, datatype, language = match.groups()
    if "\\" in line:
        subject, predicate, object, text, datatype = (
            part and unescaped(part) for part in (subject, predicate, object, text, datatype)
        )
    if text is not None:
        end = Literal(text, datatype or "", (language or "").lower())
        return Statement(subject or blank, predicate, end)
    return Statement(subject or blank, predicate, object or node)


def unescaped(text: str) -> str:
    """With its escapes read. Raises ValueError on a code that is no character."""
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    letter, code = match[0][1], match[0][2:]
    if not code:
        return _PLAIN.get(letter, letter)
    number = int(code, 16)
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise ValueError(f"{match[0]} is no character")
    return chr(number)


_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\x00-\x20<>\"{}|^`\\]*")
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


def line_of(said: Statement) -> str | None:
    """The triple as a line without its end; None where it cannot be written as one."""
    ends = [said.subject, said.predicate]
    ends += [said.object] if isinstance(said.object, str) else []
    if not all(end.startswith("_:") or _ABSOLUTE.fullmatch(end) for end in ends):
        return None
    if isinstance(said.object, str):
        return f"{_node(said.subject)} <{said.predicate}> {_node(said.object)} ."
    text = f'"{said.object.text.translate(_ESCAPED)}"'
    if said.object.language:
        text += f"@{said.object.language}"
    elif said.object.datatype:
        text += f"^^<{said.object.datatype}>"
    line = f"{_node(said.subject)} <{said.predicate}> {text} ."
    return line if _LINE.fullmatch(line) else None


def _node(node: str) -> str:
    return node if node.startswith("_:") else f"<{node}>"
