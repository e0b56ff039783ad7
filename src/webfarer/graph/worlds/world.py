"""A procedural world: a seed and a size in, a fictional but coherent encyclopedia out.

It is told as of the year 2000. A capital lies in its country and a citizen's birthplace in theirs;
whoever founds, writes, plays, climbs or wins is then alive and between 20 and 75, and whoever holds
an office is alive; a film comes after the book it follows, and a publisher, university, employer or
prize is there before anyone has to do with it. Every page has at least `FACTS_A_PAGE` facts.
Degrees are skewed: whoever is drawn is drawn by a weight that falls like 1 / rank (Zipf), so that a
few cities and people have most of the facts. The same seed, size and language give the same bytes.

What a world is called and the words it is told in are its language's: `english`, `chinese`.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from functools import cached_property

import numpy as np

from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Language, Node
from webfarer.graph.worlds.chinese import Chinese
from webfarer.graph.worlds.english import English
from webfarer.graph.worlds.ranked import Days, Mask, Ranked, days
from webfarer.graph.worlds.schema import RELATIONS
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

LANGUAGES: dict[Language, type[English | Chinese]] = {"en": English, "zh": Chinese}


def build_world(seed: int, size: int = 400, language: Language = "en") -> KnowledgeGraph:
    """A world of `size` entities, 12 types, and the relations of `schema.RELATIONS`, all of it told
    in the language, in which the graph is then read.

    Raises BadInput where the size is under `MIN_SIZE`, too few for every type to occur, and for a
    language that no world can be told in.
    """
    if size < MIN_SIZE:
        raise BadInput(f"a world of {size} entities is too small: give at least {MIN_SIZE}")
    if language not in LANGUAGES:
        known = " or ".join(LANGUAGES)
        raise BadInput(f"no world can be told in the language {language!r}: give {known}")
    return _Builder(seed, size, language).build()


class _Builder:
    """Makes the entities type by type, then what is said of each. Used once."""

    def __init__(self, seed: int, size: int, language: Language) -> None:
        key = () if language == "en" else (language,)  # English worlds stay as they have been
        self.rng: random.Random = random_for("world", seed, size, *key)
        self.counts = {kind: max(2, size * share // 100) for kind, share in _SHARES.items()}
        self.counts["person"] = size - sum(self.counts.values())
        self.voice = LANGUAGES[language](self.rng, self.counts["person"])
        self.ids: dict[str, list[str]] = {}
        self.rank: dict[str, int] = {}  # an entity's place in its type, from 1
        self.entities: list[Entity] = []
        self.facts: list[Fact] = []
        self.born: dict[str, date] = {}
        self.died: dict[str, date] = {}
        self.since: dict[str, date] = {}  # when an institution, book or prize began
        self.winners: set[str] = set()  # of a first prize; they win no other
        self._ranked: dict[str, Ranked] = {}
        self._began: dict[str, Days] = {}
        self.home: dict[str, str] = {}  # a city's country

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
        voice = self.voice
        return KnowledgeGraph(
            voice.world, self.entities, voice.relations, self.facts, voice.language
        )

    # Entities

    def _entity(self, kind: str, index: int) -> None:
        id = f"{kind}-{index + 1}"
        voice, language = self.voice, self.voice.language
        label = voice.label(kind)
        self.entities.append(
            Entity(
                id=id,
                types=(voice.type(kind),),
                labels={language: label},
                aliases={language: voice.aliases(kind, label)},
            )
        )
        self.ids.setdefault(kind, []).append(id)
        self.rank[id] = index + 1

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
        return self._one_of(kind)

    def _one_of(self, kind: str, some: Mask | None = None) -> str:
        """One of some of a type's entities (of all), each with the weight it has in its type."""
        if kind not in self._ranked:
            self._ranked[kind] = Ranked(self.ids[kind])
        return self._ranked[kind].pick(self.rng.random(), some)

    def _adult(self, day: date) -> str:
        """A person who is alive on the day, and between 20 and 75. There is one from 1870 on."""
        return self._one_of("person", self._adults(day))

    def _adults(self, day: date) -> Mask:
        births, deaths = self._life_days
        oldest, youngest = days((day - 75 * _YEAR, day - 20 * _YEAR))
        return (oldest <= births) & (births <= youngest) & (deaths > day.toordinal())

    def _official(self) -> str:
        """A person who is alive today."""
        return self._one_of("person", self._alive)

    @cached_property
    def _life_days(self) -> tuple[Days, Days]:
        """The days of all births, and of all deaths."""
        people = self.ids["person"]
        births = days(self.born[person] for person in people)
        return births, days(self.died.get(person, date.max) for person in people)

    @cached_property
    def _won(self) -> Mask:
        """The winners of a first prize so far."""
        return np.zeros(len(self.ids["person"]), bool)

    @cached_property
    def _alive(self) -> Mask:
        return self._life_days[1] == date.max.toordinal()

    def _there_by(self, kind: str, day: date) -> Mask:
        """The entities of a type that had begun by the day; asked once all of them are told."""
        if kind not in self._began:
            self._began[kind] = days(self.since[id] for id in self.ids[kind])
        return self._began[kind] <= day.toordinal()

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

    def _name(self, subject: str, relation: str) -> None:
        """Says a name that the language has a word for."""
        kind = subject.partition("-")[0]
        self._say(subject, relation, Value(kind="name", value=self.voice.word(kind, relation)))

    def _country(self, id: str) -> None:
        cities = self.ids["city"]
        capital = cities[self.rank[id] - 1]
        self.home[capital] = id
        self._say(id, "capital", capital)
        self._name(id, "language")
        self._name(id, "currency")
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
        self._name(id, "mouth")

    def _mountain(self, id: str) -> None:
        height = self._about(900, 7_900)
        ascent = self._day(1880, 1975)
        self._say(id, "height", height)
        self._say(id, "prominence", max(30, int(height * self.rng.uniform(0.1, 0.8))))
        self._say(id, "country", self._draw("country"))
        self._name(id, "range")
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
        self._name(id, "motto")

    def _company(self, id: str) -> None:
        # The first is the oldest: there has to be one before the first book.
        founded = self.since[id] = self._day(1870, 1885 if self.rank[id] == 1 else 1985)
        self._say(id, "location", self._draw("city"))
        self._say(id, "founded", founded)
        self._say(id, "founder", self._adult(founded))
        self._name(id, "industry")
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
        self._name(id, "genre")
        self._say(id, "set_in", self._draw("city"))

    def _film(self, id: str) -> None:
        release = self._day(1925, 1999)
        self._say(id, "director", self._adult(release))
        self._say(id, "release_date", release)
        self._say(id, "runtime", self.rng.randint(62, 214))
        self._say(id, "lead_actor", self._adult(release))
        self._say(id, "producer", self._company_by(release))
        self._name(id, "genre")
        earlier = self._there_by("book", release - _YEAR)
        if earlier.any() and self.rng.random() < 0.5:
            place = self.rng.randrange(int(np.count_nonzero(earlier)))
            self._say(id, "based_on", self.ids["book"][np.flatnonzero(earlier)[place]])

    def _museum(self, id: str) -> None:
        opened = self._day(1880, 1990)
        self._say(id, "location", self._draw("city"))
        self._say(id, "opened", opened)
        self._say(id, "architect", self._adult(opened))
        self._say(id, "visitors", self._about(4_000, 2_000_000))
        self._say(id, "curator", self._official())
        self._name(id, "field")

    def _band(self, id: str) -> None:
        formed = self._day(1935, 1995)
        self._say(id, "formed_in", self._draw("city"))
        self._say(id, "formed", formed)
        self._say(id, "singer", self._adult(formed))
        self._name(id, "genre")
        self._say(id, "label", self._company_by(formed))
        self._say(id, "members", self.rng.randint(3, 9))

    def _prize(self, id: str) -> None:
        first = self.since[id] = self._day(1930, 1985)
        self._say(id, "presented_by", self._draw("university"))
        self._say(id, "first_awarded", first)
        self._say(id, "money", self._about(500, 900_000))
        self._name(id, "field")
        adults = self._adults(first)
        others = adults & ~self._won
        winner = self._one_of("person", others if others.any() else adults)
        self._say(id, "first_winner", winner)
        self._say(winner, "won", id)
        self.winners.add(winner)
        self._won[self.rank[winner] - 1] = True
        self._say(id, "ceremony", self._draw("city"))

    def _person(self, id: str) -> None:
        birth = self.born[id]
        city = self._draw("city")
        self._say(id, "birth_date", birth)
        self._say(id, "born_in", city)
        self._name(id, "occupation")
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
        if options.any() and self.rng.random() < chance:
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
