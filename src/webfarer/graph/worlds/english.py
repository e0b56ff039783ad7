"""What a procedural world says in English: names of its things, and the words its facts are in."""

# ruff: noqa: SIM905 - word lists are read more easily as words

from __future__ import annotations

import random

from webfarer.graph.graph import Relation
from webfarer.graph.worlds.names import Namer
from webfarer.graph.worlds.schema import RELATIONS

_WORDS = {
    ("person", "occupation"): (
        "novelist painter architect composer physicist botanist actor explorer engineer historian "
        "journalist sculptor astronomer geologist singer chemist"
    ).split(),
    ("company", "industry"): (
        "shipbuilding publishing textiles mining brewing railways optics printing"
    ).split(),
    ("book", "genre"): (
        "historical fiction|detective fiction|travel writing|satire|gothic fiction"
    ).split("|"),
    ("film", "genre"): "comedy|drama|thriller|musical|documentary|adventure".split("|"),
    ("band", "genre"): "folk rock|jazz|electronic music|chamber pop|blues|ska".split("|"),
    ("museum", "field"): "literature physics architecture cartography medicine music".split(),
    ("prize", "field"): "literature physics architecture cartography medicine music".split(),
    ("university", "motto"): (
        "Light before Noise|Measure and Wonder|Never the Same River|By Patience|Ask Again|"
        "Truth is a Path|Salt and Stars|Work is Rest"
    ).split("|"),
}  # fmt: skip


class English:
    """The English voice of one world; draws from the world's own random numbers."""

    language = "en"
    relations: tuple[Relation, ...] = RELATIONS

    def __init__(self, rng: random.Random, people: int) -> None:
        self._rng = rng
        self._namer = Namer(rng, people)
        self.world = self._namer.stem("place").lower()

    def type(self, kind: str) -> str:
        """The id of a kind's type, which is also its name."""
        return kind

    def label(self, kind: str) -> str:
        """A new name for a thing of the kind."""
        namer, pick = self._namer, self._rng.choice
        match kind:
            case "person":
                return namer.person()
            case "country" | "city":
                return namer.place()
            case "river":
                return f"{namer.stem('place')} River"
            case "mountain":
                return f"{pick(('Mount', 'Peak'))} {namer.stem('place')}"
            case "university":
                return f"{namer.stem('place')} {pick(('University', 'Institute', 'College'))}"
            case "company":
                return f"{namer.stem('family')} {pick(('Works', 'Press', 'Brothers', 'Company'))}"
            case "museum":
                return f"{namer.stem('place')} {pick(('Museum', 'Gallery', 'Collection'))}"
            case "band":
                return (
                    f"The {namer.stem('given')} {pick(('Trio', 'Sisters', 'Union', 'Orchestra'))}"
                )
            case "prize":
                return f"{namer.stem('family')} {pick(('Prize', 'Medal', 'Award'))}"
            case _:
                return namer.title()

    def aliases(self, kind: str, label: str) -> tuple[str, ...]:
        """What else the thing of that name is called."""
        words = label.split()
        if kind == "person":
            return (f"{words[0][0]}. {words[-1]}",)
        if kind == "river":
            return (f"River {words[0]}",)
        return ()

    def word(self, kind: str, relation: str) -> str:
        """What a thing of the kind has by a relation whose values are names."""
        match relation:
            case "language":  # not from the country's name, which would tell it
                return f"{self._namer.stem('place').rstrip('aeiou')}ish"
            case "currency":
                return self._namer.stem("given").lower()
            case "mouth":
                return f"{self._namer.family()} Sea"
            case "range":
                return f"{self._namer.family()} Mountains"
            case _:
                return self._rng.choice(_WORDS[kind, relation])
