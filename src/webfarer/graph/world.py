"""A procedural world: a seed and a size in, a fictional but coherent encyclopedia out.

It is told as of the year 2000. A capital lies in its country and a citizen's birthplace in theirs;
whoever founds, writes, plays, climbs or wins is then alive and between 20 and 75, and whoever holds
an office is alive; a film comes after the book it follows, and a publisher, university, employer or
prize is there before anyone has to do with it. Every page has at least `FACTS_A_PAGE` facts.
Degrees are skewed: whoever is drawn is drawn by a weight that falls like 1 / rank (Zipf), so that a
few cities and people have most of the facts. The same seed and size give the same bytes.
"""

# ruff: noqa: SIM905 - word lists are read more easily as words

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
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
FACTS_A_PAGE = 6  # at least, counting those in which the entity is the object
_FIRST_BIRTH, _LAST_BIRTH, _LAST_DEATH = 1840, 1975, 1999
_MORTAL = 1925  # whoever was born before has died, aged 45 or more; whoever came after lives
_YEAR = timedelta(days=365.25)
_UNITS = {relation.id: relation.unit for relation in RELATIONS}

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
        self.rank: dict[str, int] = {}  # an entity's place in its type, from 1
        self.entities: list[Entity] = []
        self.facts: list[Fact] = []
        self.born: dict[str, date] = {}
        self.died: dict[str, date] = {}
        self.since: dict[str, date] = {}  # when an institution, book or prize began
        self.winners: set[str] = set()  # of a first prize; they win no other
        self.home: dict[str, str] = {}  # a city's country
        self.counts = {kind: max(2, size * share // 100) for kind, share in _SHARES.items()}
        self.counts["person"] = size - sum(self.counts.values())

    def build(self) -> KnowledgeGraph:
        for kind, count in self.counts.items():
            for index in range(count):
                self._entity(kind, index)
        self._lives()
        for kind in self.counts:
            describe = getattr(self, f"_{kind}")
            for id in self.ids[kind]:
                describe(id)
        self._rivers_for_small_cities()
        return KnowledgeGraph(self.name, self.entities, RELATIONS, self.facts)

    # Entities

    def _entity(self, kind: str, index: int) -> None:
        id = f"{kind}-{index + 1}"
        label = self._label(kind)
        aliases = self._aliases(kind, label)
        self.entities.append(
            Entity(id=id, types=(kind,), labels={"en": label}, aliases={"en": aliases})
        )
        self.ids.setdefault(kind, []).append(id)
        self.rank[id] = index + 1

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

    def _lives(self) -> None:
        """Births spread evenly, so that whatever the size someone of any age lives at any time."""
        people = self.rng.sample(self.ids["person"], len(self.ids["person"]))
        first = date(_FIRST_BIRTH, 1, 1)
        days = (date(_LAST_BIRTH, 12, 31) - first).days
        for place, person in enumerate(people):
            birth = first + timedelta(days=int((place + self.rng.random()) * days / len(people)))
            self.born[person] = birth
            if birth.year < _MORTAL:
                age = min(self._about(45, 92), _LAST_DEATH - birth.year)
                last = date(birth.year + age, 1, 1)
                self.died[person] = last + timedelta(days=self.rng.randrange(365))

    def _draw(self, kind: str) -> str:
        """An entity of the type, the n-th with a weight of 1 / n."""
        return self._one_of(kind, self.ids[kind])

    def _one_of(self, kind: str, some: Sequence[str]) -> str:
        """One of some of a type's entities, each with the weight it has in its type."""
        weights = [1 / self.rank[id] for id in some]
        return self.rng.choices(some, weights)[0]

    def _adult(self, day: date) -> str:
        """A person who is alive on the day, and between 20 and 75. There is one from 1870 on."""
        return self._one_of("person", self._adults(day))

    def _adults(self, day: date) -> list[str]:
        oldest, youngest = day - 75 * _YEAR, day - 20 * _YEAR
        return [
            person
            for person in self.ids["person"]
            if oldest <= self.born[person] <= youngest and self.died.get(person, date.max) > day
        ]

    def _official(self) -> str:
        """A person who is alive today."""
        return self._one_of("person", [p for p in self.ids["person"] if p not in self.died])

    def _there_by(self, kind: str, day: date) -> list[str]:
        """The entities of a type that had begun by the day."""
        return [id for id in self.ids[kind] if self.since[id] <= day]

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
            object = Value(kind="number", value=float(object), unit=_UNITS[relation])
        self.facts.append(Fact(subject, relation, object))

    def _name(self, subject: str, relation: str, text: str) -> None:
        self._say(subject, relation, Value(kind="name", value=text))

    def _country(self, id: str) -> None:
        cities = self.ids["city"]
        capital = cities[self.rank[id] - 1]
        self.home[capital] = id
        stem = self.namer.stem("place").rstrip("aeiou")  # not the country's: the name would tell
        self._say(id, "capital", capital)
        self._name(id, "language", f"{stem}ish")
        self._name(id, "currency", self.namer.stem("given").lower())
        self._say(id, "area", self._about(8_000, 900_000))
        self._say(id, "head_of_state", self._official())
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
        ascent = self._day(1880, 1975)
        self._say(id, "height", height)
        self._say(id, "prominence", max(30, int(height * self.rng.uniform(0.1, 0.8))))
        self._say(id, "country", self._draw("country"))
        self._name(id, "range", f"{self.namer.family()} Mountains")
        self._say(id, "first_climber", self._adult(ascent))
        self._say(id, "first_ascent", ascent)

    def _city(self, id: str) -> None:
        country = self.home.setdefault(id, self._draw("country"))
        rank = self.rank[id]
        self._say(id, "country", country)
        self._say(id, "population", self._about(400_000, 3_000_000) // rank + rank * 7)
        self._say(id, "founded", self._day(1100, 1800))
        self._say(id, "elevation", self._about(3, 1_900))
        self._say(id, "mayor", self._official())
        if self.rng.random() < 0.7:
            self._say(id, "river", self._draw("river"))

    def _university(self, id: str) -> None:
        founded = self.since[id] = self._day(1870, 1930)
        self._say(id, "location", self._draw("city"))
        self._say(id, "founded", founded)
        self._say(id, "students", self._about(900, 45_000))
        self._say(id, "rector", self._official())
        self._say(id, "founder", self._adult(founded))
        self._name(id, "motto", self.rng.choice(_MOTTOES))

    def _company(self, id: str) -> None:
        # The first is the oldest: there has to be one before the first book.
        founded = self.since[id] = self._day(1870, 1885 if self.rank[id] == 1 else 1985)
        self._say(id, "location", self._draw("city"))
        self._say(id, "founded", founded)
        self._say(id, "founder", self._adult(founded))
        self._name(id, "industry", self.rng.choice(_INDUSTRIES))
        self._say(id, "employees", self._about(12, 60_000))
        self._say(id, "chief", self._official())

    def _company_by(self, day: date) -> str:
        return self._one_of("company", self._there_by("company", day))

    def _book(self, id: str) -> None:
        published = self.since[id] = self._day(1890, 1995)
        self._say(id, "author", self._adult(published))
        self._say(id, "published", published)
        self._say(id, "publisher", self._company_by(published))
        self._say(id, "pages", self._about(80, 1_100))
        self._name(id, "genre", self.rng.choice(_BOOK_GENRES))
        self._say(id, "set_in", self._draw("city"))

    def _film(self, id: str) -> None:
        release = self._day(1925, 1999)
        self._say(id, "director", self._adult(release))
        self._say(id, "release_date", release)
        self._say(id, "runtime", self.rng.randint(62, 214))
        self._say(id, "lead_actor", self._adult(release))
        self._say(id, "producer", self._company_by(release))
        self._name(id, "genre", self.rng.choice(_FILM_GENRES))
        earlier = self._there_by("book", release - _YEAR)
        if earlier and self.rng.random() < 0.5:
            self._say(id, "based_on", self.rng.choice(earlier))

    def _museum(self, id: str) -> None:
        opened = self._day(1880, 1990)
        self._say(id, "location", self._draw("city"))
        self._say(id, "opened", opened)
        self._say(id, "architect", self._adult(opened))
        self._say(id, "visitors", self._about(4_000, 2_000_000))
        self._say(id, "curator", self._official())
        self._name(id, "field", self.rng.choice(_FIELDS))

    def _band(self, id: str) -> None:
        formed = self._day(1935, 1995)
        self._say(id, "formed_in", self._draw("city"))
        self._say(id, "formed", formed)
        self._say(id, "singer", self._adult(formed))
        self._name(id, "genre", self.rng.choice(_MUSIC_GENRES))
        self._say(id, "label", self._company_by(formed))
        self._say(id, "members", self.rng.randint(3, 9))

    def _prize(self, id: str) -> None:
        first = self.since[id] = self._day(1930, 1985)
        self._say(id, "presented_by", self._draw("university"))
        self._say(id, "first_awarded", first)
        self._say(id, "money", self._about(500, 900_000))
        self._name(id, "field", self.rng.choice(_FIELDS))
        adults = self._adults(first)
        winner = self._one_of("person", [p for p in adults if p not in self.winners] or adults)
        self._say(id, "first_winner", winner)
        self._say(winner, "won", id)
        self.winners.add(winner)
        self._say(id, "ceremony", self._draw("city"))

    def _person(self, id: str) -> None:
        birth = self.born[id]
        city = self._draw("city")
        self._say(id, "birth_date", birth)
        self._say(id, "born_in", city)
        self._name(id, "occupation", self.rng.choice(_OCCUPATIONS))
        self._say(id, "citizenship", self.home[city])
        self._perhaps(id, "studied_at", 1.0, "university", birth + 18 * _YEAR)
        self._say(id, "residence", self._draw("city"))
        self._perhaps(id, "employer", 0.6, self.rng.choice(("company", "university")),
                      birth + 40 * _YEAR)  # fmt: skip
        if id not in self.winners:
            self._perhaps(id, "won", 0.3, "prize", birth + 44 * _YEAR)
        if id in self.died:
            self._say(id, "death_date", self.died[id])
        self._marry(id)

    def _perhaps(self, id: str, relation: str, chance: float, kind: str, by: date) -> None:
        """Says the relation with a chance, where something of the type had begun by the day."""
        options = self._there_by(kind, by)
        if options and self.rng.random() < chance:
            self._say(id, relation, self._one_of(kind, options))

    def _marry(self, id: str) -> None:
        """Marries every second person to the next who was born within 25 years."""
        people = self.ids["person"]
        place = self.rank[id] - 1
        if place % 4 != 0 or place + 1 >= len(people):
            return
        other = people[place + 1]
        if abs(self.born[id] - self.born[other]) < 25 * _YEAR:
            self._say(id, "spouse", other)
            self._say(other, "spouse", id)

    def _rivers_for_small_cities(self) -> None:
        """A city that nobody was born in and nothing lies in gets a river, to have enough facts."""
        times = Counter(f.subject for f in self.facts)
        times.update(f.object for f in self.facts if isinstance(f.object, str))
        by_river = {f.subject for f in self.facts if f.relation == "river"}
        for id in self.ids["city"]:
            if times[id] < FACTS_A_PAGE and id not in by_river:
                self._say(id, "river", self._draw("river"))
