"""Snippets: the part of a page that says most about a query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from webfarer.web.words import CJK, is_cjk

LENGTH = 160
_WORD = re.compile(rf"[^\W{CJK}]+")
# The end of a sentence before what begins one; of a Chinese one after its closing mark.
_END = re.compile(r"(?<=[.!?]) +(?=[^\W\d_a-z])")
_END_ZH = re.compile(_END.pattern + r"|(?<=[。！？])(?![”’」』）])|(?<=[。！？][”’」』）])")
_LINE_END_ZH = re.compile(rf"(?<=[^.:!?。！？：；，])\n(?=[{CJK}])")
_JOINED = re.compile(r"(?<=[。！？：；，])\n")
_BLANK = re.compile(r"\n{2,}")
_UNSPACED = re.compile(rf"[{CJK}\u3001-\u3003\u3008-\u303f\uff01-\uff5e]")
_LIGHT, _EQUAL = 0.1, 1e-9


def snippet(body: str, weights: Mapping[str, float], limit: int = LENGTH) -> str:
    """The part of the body that says most about the weighted stems: at most `limit` characters.

    Starts at the line or sentence that has the greatest weight of different stems (the earliest of
    equals) and goes on for as long as whole words fit; "..." marks a cut. Chinese is cut between
    any two characters.
    """
    text, stems = _lower(body), _Stems.of(tuple(weights))
    start, end = _best(text, list(_sentences(body)), stems, weights)
    if end - start > limit - 20:
        first = stems.first(text, start, end)
        if first and first[1] - start > limit - 20:  # the sentence is long and the match far in
            start = _word_start(body, max(start, first[0] - limit // 3))
    return _cut(body, start, limit)


def _best(
    text: str, spans: list[tuple[int, int]], stems: _Stems, weights: Mapping[str, float]
) -> tuple[int, int]:
    """The span with the greatest weight of different stems; the earliest of equals.

    The heaviest stems are looked for first, and what cannot win any more is looked at no further.
    """
    rest = {stem: weights.get(stem, _LIGHT) for stem in stems.all}
    left, told = sum(rest.values()), [0.0] * len(spans)
    open_ = list(range(len(spans)))
    for stem in sorted(rest, key=lambda stem: -rest[stem]):
        if len(open_) < 2:
            break
        left -= rest[stem]
        at = -1
        for place in open_:
            start, end = spans[place]
            if at < start and (at := stems.at(stem, text, start, len(text))) < 0:
                break
            if at < end:
                told[place] += rest[stem]
        least = max(told) - left - _EQUAL
        open_ = [place for place in open_ if told[place] >= least]
    return spans[open_[0]] if open_ else (0, 0)


class _Stems:
    """The stems of a query, as they begin words."""

    def __init__(self, stems: tuple[str, ...]) -> None:
        self.all = list(dict.fromkeys(map(_loose, stems)))
        # A word that a longer stem begins says nothing of a shorter one.
        self._longer = {
            stem: tuple(o for o in self.all if o != stem and o.startswith(stem))
            for stem in self.all
        }

    @staticmethod
    @lru_cache(maxsize=32)
    def of(stems: tuple[str, ...]) -> _Stems:
        """Those of a query, kept from one of its results to the next."""
        return _Stems(stems)

    def at(self, stem: str, text: str, start: int, end: int) -> int:
        """Where in the text a word begins with the stem, or the Chinese stands; -1: nowhere."""
        place = text.find(stem, start, end)
        while place >= 0 and not self._begins(stem, text, place):
            place = text.find(stem, place + 1, end)
        return place

    def _begins(self, stem: str, text: str, place: int) -> bool:
        if is_cjk(stem):
            return True
        before = text[place - 1] if place else " "
        inside = (before.isalnum() or before == "_") and not is_cjk(before)
        return not inside and not text.startswith(self._longer[stem], place)

    def first(self, text: str, start: int, end: int) -> tuple[int, int] | None:
        """Where the first of the stems begins, and where its word ends."""
        places = [(at, stem) for stem in self.all if (at := self.at(stem, text, start, end)) >= 0]
        if not places:
            return None
        at, stem = min(places)
        word = None if is_cjk(stem) else _WORD.match(text, at, end)
        return at, word.end() if word else at + len(stem)


def _lower(text: str) -> str:
    """Lower case, of the same length; the dotted and the dotless i of Turkish are an i."""
    if text.isascii():
        return text.lower()
    return text.replace("İ", "i").lower().replace("ı", "i")


def _loose(stem: str) -> str:
    """The stem as it begins words: "happi" of "happy" and "happiness" ends in i for y."""
    return stem[:-1] if len(stem) > 3 and stem[-1] in "ie" else stem


def _sentences(body: str) -> Iterable[tuple[int, int]]:
    chinese = any(mark in body for mark in "。！？")
    ends = _END_ZH if chinese else _END
    start = 0
    for line in body.split("\n"):
        stop = start + len(line)
        if chinese or ". " in line or "! " in line or "? " in line:
            for match in ends.finditer(body, start, stop):
                if match.start() > start:
                    yield start, match.start()
                start = match.end()
        if start < stop:
            yield start, stop
        start = stop + 1


def _word_start(body: str, at: int) -> int:
    """The beginning of the next word; `at` itself within a run of letters without end."""
    if _UNSPACED.match(body, at):
        return at
    space = body.find(" ", at, at + 40)
    return at if space < 0 else space + 1


def _cut(body: str, start: int, limit: int) -> str:
    """From `start`, whole words up to the limit; lines are joined by a semicolon."""
    text = body[start : start + 2 * limit].lstrip()
    if "\n\n" in text:
        text = _BLANK.sub("\n", text)
    if not text.isascii():
        text = _JOINED.sub("", _LINE_END_ZH.sub("；", text))
    for mark in ".:!?":
        text = text.replace(f"{mark}\n", f"{mark} ")
    text = text.replace("\n", "; ").strip()
    inside = start > 0 and body[start - 1] not in "\n。！？" and body[start - 2] not in ".!?。！？"
    before = "... " if inside else ""
    if len(before) + len(text) <= limit:
        return before + text
    room = limit - len(before) - len(" ...")
    return before + text[: _last_break(text, room)].rstrip(" ,;:，、；：") + " ..."


def _last_break(text: str, room: int) -> int:
    """The last place up to `room` where a word ends; `room` within a run of letters without end."""
    space = max(0, text.rfind(" ", 0, room + 1))
    for at in range(room, space, -1):
        if _UNSPACED.match(text, at) or _UNSPACED.match(text, at - 1):
            return at
    return space or room
