"""A procedural world: a seed and a size in, a fictional but coherent encyclopedia out.

Countries hold cities, cities hold institutions, people are born before they found things, a film
comes after the book it follows. Degrees are skewed: whoever is drawn is drawn by a weight that
falls like 1 / rank (Zipf), so that a few cities and people have most of the facts. The same seed
and size give the same bytes.
"""

from __future__ import annotations

import random
from datetime import date, timedelta

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Node
from webfarer.graph.names import Namer
from webfarer.graph.schema import RELATIONS
from webfarer.types import BadInput, Value, random_for

# How many of a hundred entities are of each type; the rest are people.
_SHARES = {
    "country": 3, "river": 4, "mountain": 5, "city": 14, "university": 5, "company": 8,
    "book": 12, "film": 12, "museum": 4, "band": 6, "prize": 3,
}  # fmt: skip
MIN_SIZE = 60

_OCCUPATIONS = (
    "novelist painter architect composer physicist botanist actor explorer engineer historian "
    "journalist sculptor astronomer geologist singer chemist"
).split()
_INDUSTRIES = "shipbuilding publishing textiles mining brewing railways optics printing".split()
_BOOK_GENRES = "historical fiction|detective fiction|travel writing|satire|gothic fiction".split(
    "|"
)
_FILM_GENRES = "comedy|drama|thriller|musical|documentary|adventure".split("|")
_MUSIC_GENRES = "folk rock|jazz|electronic music|chamber pop|blues|ska".split("|")
_FIELDS = "literature physics architecture cartography medicine music".split()
_MOTTOES = (
    "Light before Noise|Measure and Wonder|Never the Same River|By Patience|Ask Again|"
    "Truth is a Path|Salt and Stars|Work is Rest"
).split("|")


def build_world(seed: int, size: int = 400) -> KnowledgeGraph:
    """A world of `size` entities, 12 types, and the relations of `schema.RELATIONS`.

    Raises BadInput where the size is under `MIN_SIZE`, too few for every type to occur.
    """
    if size < MIN_SIZE:
        raise BadInput(f"a world of {size} entities is too small: give at least {MIN_SIZE}")
    return _Builder(seed, size).build()


class _Builder:
    """Makes the entities type by type, then what is said of each. Used once."""

    def __init__(self, seed: int, size: int) -> None:
        self.rng: random.Random = random_for("world", seed, size)
        self.namer = Namer(self.rng)
        self.name = self.namer.stem("place").lower()
        self.ids: dict[str, list[str]] = {}
        self.entities: list[Entity] = []
        self.labels: dict[str, str] = {}
        self.facts: list[Fact] = []
        self.born: dict[str, date] = {}
        self.home: dict[str, str] = {}  # a city's country
        self.counts = {kind: max(2, size * share // 100) for kind, share in _SHARES.items()}
        self.counts["person"] = size - sum(self.counts.values())

    def build(self) -> KnowledgeGraph:
        for kind, count in self.counts.items():
            for index in range(count):
                self._entity(kind, index)
        for kind in self.counts:
            describe = getattr(self, f"_{kind}")
            for id in self.ids[kind]:
                describe(id)
        return KnowledgeGraph(self.name, self.entities, RELATIONS, self.facts)

    # Entities

    def _entity(self, kind: str, index: int) -> None:
        id = f"{kind}-{index + 1}"
        label = self._label(kind)
        aliases = self._aliases(kind, label)
        self.entities.append(
            Entity(id=id, types=(kind,), labels={"en": label}, aliases={"en": aliases})
        )
        self.labels[id] = label
        self.ids.setdefault(kind, []).append(id)

    def _label(self, kind: str) -> str:
        namer, pick = self.namer, self.rng.choice
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

    def _aliases(self, kind: str, label: str) -> tuple[str, ...]:
        words = label.split()
        if kind == "person":
            return (f"{words[0][0]}. {words[-1]}",)
        if kind == "river":
            return (f"River {words[0]}",)
        return ()

    # Drawing

    def _draw(self, kind: str) -> str:
        """An entity of the type, the n-th with a weight of 1 / n."""
        ids = self.ids[kind]
        weights = [1 / (rank + 1) for rank in range(len(ids))]
        return self.rng.choices(ids, weights)[0]

    def _adult(self, year: int) -> str:
        """A person who is between 20 and 75 in the year, if ten draws find one."""
        person = self._draw("person")
        for _ in range(10):
            if 20 <= year - self._birth(person).year <= 75:
                break
            person = self._draw("person")
        return person

    def _birth(self, person: str) -> date:
        if person not in self.born:
            self.born[person] = self._day(1840, 1975)
        return self.born[person]

    def _day(self, first: int, last: int) -> date:
        start = date(first, 1, 1)
        return start + timedelta(days=self.rng.randrange((date(last, 12, 31) - start).days + 1))

    def _about(self, low: int, high: int) -> int:
        """A count between low and high, skewed to the low end."""
        return int(low * (high / low) ** self.rng.random())

    # Saying

    def _say(self, subject: str, relation: str, object: Node | date | int) -> None:
        if isinstance(object, date):
            object = Value(kind="date", value=object.isoformat())
        elif isinstance(object, int):
            unit = next(r.unit for r in RELATIONS if r.id == relation)
            object = Value(kind="number", value=float(object), unit=unit)
        self.facts.append(Fact(subject, relation, object))

    def _name(self, subject: str, relation: str, text: str) -> None:
        self._say(subject, relation, Value(kind="name", value=text))

    def _country(self, id: str) -> None:
        cities = self.ids["city"]
        position = self.ids["country"].index(id)
        capital = cities[position % len(cities)]
        self.home[capital] = id
        stem = self.labels[id].split()[-1].rstrip("aeiou")
        self._say(id, "capital", capital)
        self._name(id, "language", f"{stem}ish")
        self._name(id, "currency", self.namer.stem("given").lower())
        self._say(id, "area", self._about(8_000, 900_000))
        self._say(id, "head_of_state", self._adult(1970))
        self._say(id, "independence", self._day(1750, 1930))

    def _river(self, id: str) -> None:
        length = self._about(60, 2_400)
        self._say(id, "length", length)
        self._say(id, "source", self._draw("mountain"))
        self._say(id, "country", self._draw("country"))
        self._say(id, "discharge", self._about(20, 9_000))
        self._say(id, "basin", length * self._about(20, 160))
        self._name(id, "mouth", f"{self.namer.family()} Sea")

    def _mountain(self, id: str) -> None:
        height = self._about(900, 7_900)
        ascent = self._day(1860, 1975)
        self._say(id, "height", height)
        self._say(id, "prominence", max(30, int(height * self.rng.uniform(0.1, 0.8))))
        self._say(id, "country", self._draw("country"))
        self._name(id, "range", f"{self.namer.family()} Mountains")
        self._say(id, "first_climber", self._adult(ascent.year))
        self._say(id, "first_ascent", ascent)

    def _city(self, id: str) -> None:
        country = self.home.setdefault(id, self._draw("country"))
        rank = self.ids["city"].index(id) + 1
        self._say(id, "country", country)
        self._say(id, "population", self._about(400_000, 3_000_000) // rank + rank * 7)
        self._say(id, "founded", self._day(1100, 1800))
        self._say(id, "elevation", self._about(3, 1_900))
        self._say(id, "mayor", self._adult(1970))
        if self.rng.random() < 0.7:
            self._say(id, "river", self._draw("river"))

    def _university(self, id: str) -> None:
        founded = self._day(1870, 1970)
        self._say(id, "location", self._draw("city"))
        self._say(id, "founded", founded)
        self._say(id, "students", self._about(900, 45_000))
        self._say(id, "rector", self._adult(1970))
        self._say(id, "founder", self._adult(founded.year))
        self._name(id, "motto", self.rng.choice(_MOTTOES))

    def _company(self, id: str) -> None:
        founded = self._day(1870, 1985)
        self._say(id, "location", self._draw("city"))
        self._say(id, "founded", founded)
        self._say(id, "founder", self._adult(founded.year))
        self._name(id, "industry", self.rng.choice(_INDUSTRIES))
        self._say(id, "employees", self._about(12, 60_000))
        self._say(id, "chief", self._adult(1975))

    def _book(self, id: str) -> None:
        published = self._day(1870, 1995)
        self._say(id, "author", self._adult(published.year))
        self._say(id, "published", published)
        self._say(id, "publisher", self._draw("company"))
        self._say(id, "pages", self._about(80, 1_100))
        self._name(id, "genre", self.rng.choice(_BOOK_GENRES))
        self._say(id, "set_in", self._draw("city"))

    def _film(self, id: str) -> None:
        release = self._day(1925, 1999)
        self._say(id, "director", self._adult(release.year))
        self._say(id, "release_date", release)
        self._say(id, "runtime", self.rng.randint(62, 214))
        self._say(id, "lead_actor", self._adult(release.year))
        self._say(id, "producer", self._draw("company"))
        self._name(id, "genre", self.rng.choice(_FILM_GENRES))
        earlier = [
            f.subject
            for f in self.facts
            if f.relation == "published"
            and isinstance(f.object, Value)
            and str(f.object.value) < release.isoformat()
        ]
        if earlier and self.rng.random() < 0.5:
            self._say(id, "based_on", self.rng.choice(earlier))

    def _museum(self, id: str) -> None:
        opened = self._day(1880, 1990)
        self._say(id, "location", self._draw("city"))
        self._say(id, "opened", opened)
        self._say(id, "architect", self._adult(opened.year))
        self._say(id, "visitors", self._about(4_000, 2_000_000))
        self._say(id, "curator", self._adult(1975))
        self._name(id, "field", self.rng.choice(_FIELDS))

    def _band(self, id: str) -> None:
        formed = self._day(1935, 1995)
        self._say(id, "formed_in", self._draw("city"))
        self._say(id, "formed", formed)
        self._say(id, "singer", self._adult(formed.year))
        self._name(id, "genre", self.rng.choice(_MUSIC_GENRES))
        self._say(id, "label", self._draw("company"))
        self._say(id, "members", self.rng.randint(3, 9))

    def _prize(self, id: str) -> None:
        first = self._day(1890, 1980)
        self._say(id, "presented_by", self._draw("university"))
        self._say(id, "first_awarded", first)
        self._say(id, "money", self._about(500, 900_000))
        self._name(id, "field", self.rng.choice(_FIELDS))
        self._say(id, "first_winner", self._adult(first.year))
        self._say(id, "ceremony", self._draw("city"))

    def _person(self, id: str) -> None:
        birth = self._birth(id)
        city = self._draw("city")
        self._say(id, "birth_date", birth)
        self._say(id, "born_in", city)
        self._name(id, "occupation", self.rng.choice(_OCCUPATIONS))
        self._say(id, "citizenship", self.home[city])
        self._say(id, "studied_at", self._draw("university"))
        self._say(id, "residence", self._draw("city"))
        if self.rng.random() < 0.6:
            self._say(id, "employer", self._draw(self.rng.choice(("company", "university"))))
        if self.rng.random() < 0.3:
            self._say(id, "won", self._draw("prize"))
        if birth.year < 1925:
            self._say(id, "death_date", birth + timedelta(days=self._about(30, 90) * 365))
        self._marry(id)

    def _marry(self, id: str) -> None:
        """Marries every second person to the next who was born within 25 years."""
        people = self.ids["person"]
        place = people.index(id)
        if place % 4 != 0 or place + 1 >= len(people):
            return
        other = people[place + 1]
        if abs((self._birth(id) - self._birth(other)).days) < 25 * 365:
            self._say(id, "spouse", other)
            self._say(other, "spouse", id)
