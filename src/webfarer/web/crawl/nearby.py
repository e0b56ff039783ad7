"""Pages that say the same: exactly, or all but a few words of it.

A page's text becomes 64 bits that differ little where texts differ little: simhash (Charikar, STOC
2002) over its runs of `SHINGLE` words. Two pages are near when at most `NEAR` bits differ, and are
found in tables by each quarter of the bits, one of which must be the same (Manku, Jain and Das
Sarma, WWW 2007, sections 2 and 3).

Departure from the paper, because a page wrongly left out costs more than one kept twice: near pages
must also have the same title. Pages of one template (a calendar's days, an encyclopedia's stubs)
share most of their words and differ in what they are about, which is what a title says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

SHINGLE = 3  # words
NEAR = 3  # bits
FEWEST = 40  # different shingles, below which only the very same text counts
_QUARTERS = (0, 16, 32, 48)
# ASCII that is no letter or digit stands between words; marks beyond it count as letters.
_SPACES = bytes(byte if byte >= 128 or chr(byte).isalnum() else 32 for byte in range(256))
_HAN = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")  # each a word of its own
_LONGEST = 300_000  # characters
_ZERO = np.zeros(1, np.uint64)
_ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


class Print(NamedTuple):
    """A page's fingerprint: of its title, of title and text together, and the text's simhash
    (None where it is too short for one). All are 64-bit numbers; `whole` is 0 for an empty text."""

    title: int
    whole: int
    near: int | None


def fingerprint(title: str, text: str) -> Print:
    """The fingerprint of a page: the same on every machine. Case and punctuation do not count. A
    very long page is only ever the very same as another: it has no simhash."""
    words = _word_hashes(text[:_LONGEST])
    name = " ".join(title.lower().split()).encode("utf-8", "replace")
    rest = text[_LONGEST:].encode("utf-8", "replace")
    whole = _number(b"\0".join((name, words.tobytes(), rest))) if len(words) else 0
    return Print(_number(name), whole, None if rest else _simhash(words))


def _word_hashes(text: str) -> np.ndarray:
    """A number for each word in order: the polynomial in `_ODD[0]` that its bytes make."""
    text = text.lower()
    if _HAN.search(text):
        text = _HAN.sub(r" \g<0> ", text)
    data = text.encode("utf-8", "replace").translate(_SPACES)
    letters = np.frombuffer(b" " + data + b" ", np.uint8)
    inside = letters != 32
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    powers, inverse = _powers(len(letters))
    sums = np.concatenate((_ZERO, np.cumsum(letters * powers)))
    return (sums[ends] - sums[starts]) * inverse[starts]


def _powers(length: int) -> tuple[np.ndarray, np.ndarray]:
    """The powers of `_ODD[0]` and those of its inverse, modulo 2**64, at least so many."""
    size = 1 << 16
    while size < length:
        size <<= 1
    powers, inverse = _all_powers(size)
    return powers[:length], inverse


@lru_cache(2)
def _all_powers(size: int) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for base in (_ODD[0], pow(_ODD[0], -1, 1 << 64)):
        factors = np.full(size, base, np.uint64)
        factors[0] = 1
        found.append(np.cumprod(factors))
    return found[0], found[1]


def _simhash(hashes: np.ndarray) -> int | None:
    """Each bit is what most of the different shingles' hashes have there."""
    runs = len(hashes) - SHINGLE + 1
    if runs < FEWEST:
        return None
    shingles = np.zeros(runs, np.uint64)
    for place, odd in enumerate(_ODD):
        shingles = (shingles ^ hashes[place : place + runs]) * np.uint64(odd)
        shingles ^= shingles >> np.uint64(29)
    shingles = np.sort(_mixed(shingles))
    shingles = shingles[np.append(True, shingles[1:] != shingles[:-1])]
    if len(shingles) < FEWEST:
        return None
    ones = np.unpackbits(shingles.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1).sum(0)
    return int.from_bytes(np.packbits(2 * ones > len(shingles)).tobytes(), "little")


def _mixed(values: np.ndarray) -> np.ndarray:
    """Numbers whose every bit depends on every bit of what they came from (splitmix64's end)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _number(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


@dataclass(slots=True)
class _Known:
    near: int
    url: str


class NearDuplicates:
    """The fingerprints of the pages so far, and which page a new one repeats."""

    def __init__(self) -> None:
        self._whole: dict[int, str] = {}
        self._tables: dict[tuple[int, int, int], list[_Known]] = {}

    def find(self, print: Print) -> str | None:
        """The URL of a page that says the same: the very same first, else the nearest."""
        if print.whole and (same := self._whole.get(print.whole)) is not None:
            return same
        if print.near is None:
            return None
        found = [
            (bits, known.url)
            for key in _keys(print)
            for known in self._tables.get(key, ())
            if (bits := (known.near ^ print.near).bit_count()) <= NEAR
        ]
        return min(found)[1] if found else None

    def add(self, url: str, print: Print) -> None:
        """Takes in a page that is itself no duplicate."""
        if print.whole:
            self._whole.setdefault(print.whole, url)
        if print.near is not None:
            for key in _keys(print):
                self._tables.setdefault(key, []).append(_Known(print.near, url))


def _keys(print: Print) -> list[tuple[int, int, int]]:
    near = print.near or 0
    return [(print.title, shift, near >> shift & 0xFFFF) for shift in _QUARTERS]
