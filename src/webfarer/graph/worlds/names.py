"""Invented names: every world has a phonology of its own, so that no name can be remembered.

A world draws a subset of onsets, vowels and codas, and from them pools of word stems; family names
are shared between people and stems between places, which gives the near-duplicates ("Taren Vollis",
"Taren Vollin") that make searching hard.
"""

# ruff: noqa: SIM905 - word lists are read more easily as words

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

_STARTS = (
    "b br c ch d dr f fl g gl gr h j k kr l m n p pr qu r s sh st t th tr v w z"
).split()  # fmt: skip
_MIDDLES = "b c d f g k l ll m n nn p r rr s ss t tt v z".split()
_VOWELS = "a e i o u".split()
_DIPHTHONGS = "ae ai ea ei ia io oa".split()
_CODAS = "l m n r s nd rn st".split()
_ENDINGS = {
    "place": "a ia o um en is or ar eth ford mere wick stead dale holm grad by ton".split(),
    "given": "a e i o an en in on el us ia ette iel".split(),
    "family": "er in is o ov ski sen ard eau ett ley man ano ides".split(),
}
_ADJECTIVES = (
    "Silent Crimson Hollow Distant Golden Broken Winter Northern Burning Hidden Gentle Restless "
    "Bitter Velvet Paper Iron Glass Wandering Quiet Scarlet Ancient Borrowed Drifting Second"
).split()
_NOUNS = (
    "Harbour Garden Lantern River Mirror Orchard Station Bridge Clockmaker Shore Letter Island "
    "Winter Stranger Sparrow Cathedral Machine Forest Daughter Compass Tide Sailor Museum Horizon"
).split()


_GIVEN, _FAMILY, _ROOM = 48, 72, 3


class Namer:
    """Gives out names that have not been given before.

    The pools of given and family names grow where `people` would take more than a third of their
    combinations: names are then still near-duplicates of one another, and there are enough.
    """

    def __init__(self, rng: random.Random, people: int = 0) -> None:
        self._rng = rng
        self._starts = rng.sample(_STARTS, 16)
        self._middles = rng.sample(_MIDDLES, 10)
        self._vowels = rng.sample(_VOWELS, 4) * 2 + rng.sample(_DIPHTHONGS, 2)
        self._taken: set[str] = set()
        self._places: list[str] = []
        growth = max(1.0, math.sqrt(_ROOM * people / (_GIVEN * _FAMILY)))
        self._given = [self.stem("given") for _ in range(int(_GIVEN * growth))]
        self._family = [self.stem("family") for _ in range(int(_FAMILY * growth))]

    def stem(self, kind: str) -> str:
        """A new capitalised word of two or three syllables with an ending of its kind."""
        while True:
            word = self._pick(self._starts) + self._pick(self._vowels)
            if self._rng.random() < 0.4:
                word += self._pick(self._middles) + self._pick(self._vowels)
            word += self._pick(self._middles if self._rng.random() < 0.7 else _CODAS)
            word = _joined(word, self._pick(_ENDINGS[kind])).capitalize()
            if 4 <= len(word) <= 10 and word not in self._taken:
                self._taken.add(word)
                return word

    def person(self) -> str:
        return self._fresh(lambda: f"{self._pick(self._given)} {self._pick(self._family)}")

    def place(self) -> str:
        """A place name; one in six is built on the name of another place."""
        if self._places and self._rng.random() < 0.17:
            stem = self._pick(self._places)
            return self._fresh(lambda: f"{self._pick(('New', 'Port', 'Upper', 'Saint'))} {stem}")
        name = self.stem("place")
        self._places.append(name)
        return name

    def family(self) -> str:
        return self._pick(self._family)

    def title(self) -> str:
        """The title of a work."""
        return self._fresh(self._title)

    def _title(self) -> str:
        adjective, noun = self._pick(_ADJECTIVES), self._pick(_NOUNS)
        place = self._pick(self._places or self._family)
        return self._pick(
            (
                f"The {adjective} {noun}",
                f"{adjective} {noun}",
                f"The {noun} of {place}",
                f"{place} {noun}",
                f"A {noun} for {self._pick(self._given)}",
            )
        )

    def _pick(self, options: Sequence[str]) -> str:
        return self._rng.choice(options)

    def _fresh(self, make: Callable[[], str]) -> str:
        """What `make` gives, once it gives something new."""
        for _ in range(200):
            name = make()
            if name not in self._taken:
                break
        else:
            name = f"{make()} {self.stem('family')}"
        self._taken.add(name)
        return name


def _joined(stem: str, ending: str) -> str:
    """Stem and ending without a doubled consonant before another consonant."""
    if ending[0] not in "aeiou" and len(stem) > 1 and stem[-1] == stem[-2]:
        stem = stem[:-1]
    return stem[:-1] + ending if stem[-1] == ending[0] else stem + ending
