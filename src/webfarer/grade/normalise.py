"""Text as graders compare it: what a reader would not call a difference is taken away.

Goes further than SQuAD's normalisation (Rajpurkar et al. 2016) where that would call different
things the same ("1.2.3" and "123", "C++" and "C", "Vitamin A" and "Vitamin") or the same thing
different ("U.S." and "US", "J. K." and "J.K.").
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_APOSTROPHES = frozenset("'’‘ʼʻ`´′ʿʾ")
_SPACED_S = re.compile(r"\s+(?=['’]s\b)")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_TO_POWER = re.compile(r"(?<=10)[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_OTHER_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "ħ": "h"}
)
_MARKS = re.compile(r"([a-z])[\u0300-\u036f]+")


class Word(NamedTuple):
    """A word as compared, as written, and what stands between it and the word before."""

    norm: str
    raw: str
    gap: str

    @property
    def namelike(self) -> bool:
        """Whether it could be (part of) a name: a capital, a digit, or a script without case."""
        return any(char.isdigit() or not char.islower() for char in self.raw if char.isalnum())


def clean(text: str) -> str:
    """NFKC, without invisible characters; a lone surrogate, which is no text, becomes "?"."""
    text = text.encode("utf-8", "replace").decode()
    text = _TO_POWER.sub(lambda power: "^" + unicodedata.normalize("NFKC", power[0]), text)
    text = unicodedata.normalize("NFKC", text)
    return "".join(char for char in text if unicodedata.category(char) != "Cf")


@lru_cache(maxsize=1 << 12)
def words(text: str) -> tuple[Word, ...]:
    """The words of a text, without "the" and "an", punctuation and case.

    Initials become one word ("U. S." is "us"). A text with nothing but marks is its own words.
    """
    text = _THOUSANDS.sub("", _SPACED_S.sub("", clean(text)))
    found = _without_articles(_initials_joined(_scanned(text)))
    if found or not text.split():
        return found
    return tuple(Word(part.casefold(), part, " ") for part in text.split())


def normalise(text: str) -> str:
    """The words of a text as compared, with one space between them."""
    return " ".join(word.norm for word in without_a(words(text)))


def without_a(found: tuple[Word, ...]) -> tuple[Word, ...]:
    """Without an "a" that begins the text and is no initial ("A Farewell", not "A. Venn")."""
    begins = len(found) > 1 and found[0].norm == "a" and found[1].gap.isspace()
    return found[1:] if begins else found


@lru_cache(maxsize=1 << 14)
def fold(norm: str) -> str:
    """Normalised text without the accents of Latin letters: "purandara dāsa" as "purandara dasa".

    Marks of other scripts stay: they tell letters apart there.
    """
    split = _MARKS.sub(r"\1", unicodedata.normalize("NFD", norm.translate(_OTHER_LETTERS)))
    return unicodedata.normalize("NFC", split)


@lru_cache(maxsize=1 << 14)
def _in_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM"


def _scanned(text: str) -> list[Word]:
    found: list[Word] = []
    raw = gap = ""
    for place, char in enumerate(text):
        if char in _APOSTROPHES:
            continue
        if _in_word(char) or (raw and _joins(text, place)):
            raw += char
        elif raw:
            found.append(Word(raw.casefold(), raw, gap))
            raw, gap = "", char
        else:
            gap += char
    return [*found, Word(raw.casefold(), raw, gap)] if raw else found


def _joins(text: str, place: int) -> bool:
    """Whether a mark belongs to the word: the point of "1.2", the signs of "C++" and "C#"."""
    char, before, after = text[place], text[place - 1], text[place + 1 : place + 2]
    if char == ".":
        return before.isdigit() and after.isdigit()
    return char in "+#" and (before.isalpha() or before == char)


def _initial(word: Word) -> bool:
    return len(word.raw) == 1 and word.raw.isupper()


def _initials_joined(found: list[Word]) -> list[Word]:
    joined: list[Word] = []
    after_initial = False
    for word in found:
        if after_initial and _initial(word) and word.gap.strip() in ("", "."):
            last = joined.pop()
            joined.append(Word(last.norm + word.norm, last.raw + word.raw, last.gap))
        else:
            joined.append(word)
        after_initial = _initial(word)
    return joined


def _without_articles(found: list[Word]) -> tuple[Word, ...]:
    """Drops "the" and "an". "A" stays: it may be a letter of a name ("Vitamin A")."""
    kept: list[Word] = []
    gap = ""
    for word in found:
        gap += word.gap
        if word.norm not in ("the", "an"):
            kept.append(Word(word.norm, word.raw, gap))
            gap = ""
    return tuple(kept or found)
