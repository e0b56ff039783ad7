"""Whether a Chinese text names what is wanted, and nothing else that could be an answer.

The rules are those of `names`, told for a writing without capitals and spaces:

1. Nothing is denied or left open beside the name ("不是", "或").
2. Whatever else is said is words that `chinese_words` knows, or words of the question.
3. Nothing grows the name: a word of the question, or a noun after it, may not stand right beside
   it ("沈若川大桥"), nor be tied to it by a comma or an "and" ("沈若川、李明").
4. Verbs and nouns are fine beside one wanted name that is none of them itself; beside others, only
   words that frame an answer ("答案是") and the question's.
5. At most as much as 30 words, at two characters a word.

Marks of works and names (《》, ·) say nothing; nor do spaces, the width of a character, and whether
it is written traditionally.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from webfarer.grade.chinese import extra_words, hedge
from webfarer.grade.chinese_words import BEFORE_A_NAME, FRAME, NOUNS, TIES, VERBS
from webfarer.grade.names import FRAME as ENGLISH_FRAME
from webfarer.grade.names import MOST_WORDS, Fit, assigned
from webfarer.grade.normalise import clean, fold, words
from webfarer.graph.hanzi import HAN, simplified

_MARKS = re.compile(r"[《》〈〉「」『』【】“”‘’\"'`*_#\[\]{}]")
_DOTS = re.compile(rf"\s*[·•・‧∙⋅]\s*|(?<=[{HAN}])[-‐–](?=[{HAN}])")
_SPACES = re.compile(rf"(?<=[{HAN}])\s+|\s+(?=[{HAN}])")
_TITLE = re.compile("《(.+?)》")
_NAME, _ASKED = "\0", "\1"  # stand for a name that was found, and for a title of the question
_BREAKS = re.compile(r"[。.!?:()<>\n…—~]+")
_TIE = re.compile(f"[{TIES}]|以及|还有")
_WITH_ANOTHER = re.compile(f"{_NAME}(?:[和与及跟]|以及|还有)|(?:[和与及跟]|以及|还有){_NAME}")
_LATIN = re.compile(r"[^\W_]+", re.ASCII)
_LONGEST_PIECE = 200  # characters between two marks
_ARTICLES = ("the", "an")  # which the English rules never see
_LONGEST = max(map(len, FRAME | VERBS | NOUNS))


def chinese_names_of(text: str, answers: Sequence[Sequence[str]], question: str = "") -> Fit:
    """How a text with Chinese in it names answers, each given by its accepted forms."""
    table: dict[str, list[int]] = {}
    for place, forms in enumerate(answers):
        for form in dict.fromkeys(map(_flat, forms)):
            table.setdefault(form, []).append(place)
    table.pop("", None)
    flat = _flat(text)
    spans = _spans(flat, table)
    mentions = [tuple(table[flat[start:end]]) for start, end in spans]
    named = assigned(mentions, len(answers))
    if not spans or spans == [(0, len(flat))]:
        return Fit(named, None)
    if (size := len(words(text)) + extra_words(text)) > MOST_WORDS:
        return Fit(named, f"buries it in {size} words")
    rest = _masked(flat, spans)
    for title in sorted(map(_flat, _TITLE.findall(question)), key=len, reverse=True):
        rest = rest.replace(title, _ASKED) if title else rest
    if opened := hedge(rest):
        return Fit(named, f'says "{opened}" beside it')
    plain = len(answers) == 1 and not table.keys() & (FRAME | VERBS | NOUNS)
    return Fit(named, _Beside(_flat(question), plain, len(answers) > 1).problem(rest))


def _flat(text: str) -> str:
    """The text as compared: simplified, without marks, dots within names, and needless spaces."""
    text = _MARKS.sub("", simplified(clean(text)))
    text = _SPACES.sub("", _DOTS.sub("", text))
    return fold(re.sub(r"[^\S\n]+", " ", text).casefold()).strip(" .。,;!?")


def _spans(flat: str, table: dict[str, list[int]]) -> list[tuple[int, int]]:
    """Where the text has accepted forms: the longest at each place, none over another."""
    forms = sorted(table, key=len, reverse=True)
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(flat):
        found = (f for f in forms if flat.startswith(f, start) and _whole(flat, start, len(f)))
        size = len(next(found, ""))
        if size:
            spans.append((start, start + size))
        start += size or 1
    return spans


def _whole(flat: str, start: int, size: int) -> bool:
    """Whether a name's Latin letters and figures are not cut out of longer words."""
    ends = (flat[start - 1 : start] + flat[start], flat[start + size - 1 : start + size + 1])
    return not any(re.fullmatch(r"[^\W_]{2}", end, re.ASCII) for end in ends)


def _masked(flat: str, spans: Sequence[tuple[int, int]]) -> str:
    for start, end in reversed(spans):
        flat = flat[:start] + _NAME + flat[end:]
    return flat


@dataclass(frozen=True)
class _Beside:
    """What may stand beside names: the `question`'s words; nouns and verbs if `plain`; ties between
    two names if there are `several`."""

    question: str
    plain: bool
    several: bool

    def problem(self, rest: str) -> str | None:
        """What in the text around the names speaks against it; see the module's rules."""
        for clause in _BREAKS.split(rest):
            pieces = _split(clause)
            for place, piece in enumerate(pieces):
                if piece == _NAME or _TIE.fullmatch(piece):
                    continue
                left, right = _near(pieces, place, -1), _near(pieces, place, 1)
                if not self._covered(piece.strip(), left, right):
                    return f'adds "{piece.strip().replace(_ASKED, "《》")}"'
            if not self.several and _WITH_ANOTHER.search(clause):
                return "names it as one of several"
        return None

    def _covered(self, piece: str, left: str, right: str) -> bool:
        """Whether known words make up the piece, the first and last fit beside what is there: a
        name right beside it ("name"), one beyond a tie ("tied"), or neither ("")."""
        end = len(piece)
        if end > _LONGEST_PIECE:
            return False

        @cache
        def walk(at: int, described: bool) -> bool:
            """`described`: whether 的 stands before, so that what follows is said of the name."""
            if at == end:
                return True
            for size in range(min(end - at, max(_LONGEST, len(self.question))), 0, -1):
                word = piece[at : at + size]
                kind = self._kind(word, piece, at)
                if not kind or (at == 0 and not _may_begin(word, kind, left, size == end)):
                    continue
                if at + size == end and not _may_end(word, kind, right, described):
                    continue
                if walk(at + size, word.endswith("的")):
                    return True
            return False

        if left == "tied" and not right and re.search(r"的[^的]+$", piece):
            return self._description(piece)
        return walk(0, False)

    def _description(self, piece: str) -> bool:
        """ "沈若川，《静默港湾》的导演": what is tied to the name says who it is."""
        of, _, noun = piece.rpartition("的")
        return self.plain and noun in NOUNS and self._covered(of, "", "")

    def _kind(self, word: str, piece: str, at: int) -> str:
        """Which sort of known word it is: "frame", "verb", "noun", "asked"; "" if none."""
        if word in FRAME or word == " ":
            return "frame"
        if self.plain and word in VERBS:
            return "verb"
        if self.plain and word in NOUNS:
            return "noun"
        if _LATIN.match(word) and not _whole(piece, at, len(word)):
            return ""
        if word in ENGLISH_FRAME or word in _ARTICLES:
            return "frame"
        return "asked" if word == _ASKED or (len(word) > 1 and word in self.question) else ""


def _may_begin(word: str, kind: str, left: str, alone: bool) -> bool:
    if left == "name":
        grows = kind in ("asked", "noun") or (len(word) == 1 and alone and word != "的")
        return not grows
    return not (left == "tied" and kind == "asked")


def _may_end(word: str, kind: str, right: str, described: bool) -> bool:
    if right == "name":
        return kind != "asked" and (len(word) > 1 or word in BEFORE_A_NAME)
    return not (right == "tied" and kind == "asked" and not described)


def _split(clause: str) -> list[str]:
    """The clause's names, ties and what is between them."""
    pieces = re.split(rf"({_NAME}|{_TIE.pattern})", clause)
    return [piece for piece in pieces if piece.strip()]


def _near(pieces: Sequence[str], place: int, step: int) -> str:
    """ "name" if a name stands right beside, "tied" if one does beyond ties, else ""."""
    near, kind = place + step, "name"
    while 0 <= near < len(pieces) and _TIE.fullmatch(pieces[near]):
        near, kind = near + step, "tied"
    return kind if 0 <= near < len(pieces) and pieces[near] == _NAME else ""
