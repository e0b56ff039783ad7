"""What RDF triples say, in a graph's own terms: labels, types, facts, literals.

Wikidata's two spellings of a thing become one id: `.../entity/P19` and `.../prop/direct/P19` are
both P19. Of Wikidata's statements the direct ones (wdt:) are read, which leave out deprecated ranks
and, where there are preferred ones, normal ranks. Other RDF keeps its IRIs as ids.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from webfarer.graph.dumps.filters import Filters
from webfarer.graph.dumps.ntriples import Literal, Statement
from webfarer.graph.packed.pack import Packer
from webfarer.graph.rows import clean
from webfarer.graph.values import interval
from webfarer.types import BadInput, Value

WIKIDATA = "http://www.wikidata.org/"
ENTITY, DIRECT = f"{WIKIDATA}entity/", f"{WIKIDATA}prop/direct/"
XSD = "http://www.w3.org/2001/XMLSchema#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
SKOS = "http://www.w3.org/2004/02/skos/core#"

_LABELS = {
    f"{RDFS}label": 0, f"{SKOS}prefLabel": 1, "http://schema.org/name": 2,
    "https://schema.org/name": 2, "http://xmlns.com/foaf/0.1/name": 3,
}  # fmt: skip
_ALIASES = {
    f"{SKOS}altLabel", "http://schema.org/alternateName", "https://schema.org/alternateName",
}  # fmt: skip
_DESCRIPTIONS = {
    "http://schema.org/description", "https://schema.org/description", f"{RDFS}comment",
    "http://purl.org/dc/terms/description",
}  # fmt: skip
_TYPES = {f"{RDF}type", f"{DIRECT}P31"}
TEXTS = (*_LABELS, *sorted(_ALIASES), *sorted(_DESCRIPTIONS))
TYPES = tuple(sorted(_TYPES))

_WHOLE = (
    "integer int long short byte nonNegativeInteger positiveInteger nonPositiveInteger "
    "negativeInteger unsignedLong unsignedInt unsignedShort unsignedByte"
)
_NUMBERS = {XSD + name for name in (*_WHOLE.split(), "decimal", "double", "float")}
_DATES = {XSD + name for name in ("date", "dateTime", "gYear", "gYearMonth")}
_NAMES = {"", f"{XSD}string", f"{RDF}langString"}
_ITEM = re.compile(re.escape(ENTITY) + "Q[0-9]+")
_DATE = re.compile(r"[+]?(-?\d{4,})(?:-(\d\d))?(?:-(\d\d))?(T[0-9:.]+)?(?:Z|[+-]\d\d:\d\d)?")


class RdfReader:
    """Tells a packer what triples say; counts in its notes what it passes over."""

    def __init__(self, packer: Packer, filters: Filters) -> None:
        self._packer, self._filters = packer, filters
        self._notes = packer.notes
        self._relations: dict[str, str | None] = {}
        self._plain: dict[str, str] = {}  # the wanted ones among Wikidata's direct properties

    def say(self, said: Statement) -> None:
        """Takes one triple."""
        if isinstance(said.object, str) and self._plain.get(said.predicate):
            subject, other = item_of(said.subject), item_of(said.object)
            if subject and other:  # what most lines of Wikidata's dump are
                self._packer.edge(subject, self._plain[said.predicate], other)
                return
        if said.subject.startswith("_:"):
            self._notes["triples about blank nodes, left out"] += 1
            return
        subject = id_of(said.subject)
        if not subject:
            self._notes["triples about Wikidata's inner nodes, left out"] += 1
        elif isinstance(said.object, Literal) and self._text(subject, said.predicate, said.object):
            pass
        elif said.predicate in _TYPES:
            self._type(subject, said.object)
        elif (relation := self._relation(subject, said)) is not None:
            self._fact(subject, relation, said.object)

    def _text(self, id: str, predicate: str, text: Literal) -> bool:
        """Whether the triple is a text about the subject, which is then told if it is wanted."""
        rank = _LABELS.get(predicate)
        if rank is None and predicate not in _ALIASES and predicate not in _DESCRIPTIONS:
            return False
        wanted, words = self._filters.language(text.language), clean(text.text)
        if wanted is None or not words:
            return True
        language, variety = wanted
        if rank is not None:
            self._packer.label(id, language, words, rank + variety)
        elif predicate in _ALIASES:
            self._packer.alias(id, language, words)
        else:
            self._packer.description(id, language, words, variety)
        return True

    def _type(self, subject: str, object: str | Literal) -> None:
        kind = id_of(object) if isinstance(object, str) and not object.startswith("_:") else ""
        if kind:
            self._packer.type(subject, kind)

    def _relation(self, subject: str, said: Statement) -> str | None:
        """The fact's relation; None where it is none of those that are wanted."""
        predicate = said.predicate
        if predicate not in self._relations:
            self._relations[predicate] = relation = relation_of(predicate)
            if relation and not self._filters.wants(relation, predicate):
                self._relations[predicate] = None
            elif predicate.startswith(DIRECT) and predicate not in _TYPES:
                self._plain[predicate] = relation
        relation = self._relations[predicate]
        if relation == "" or (said.subject.startswith(ENTITY) and subject[0] == "P"):
            self._notes["triples of Wikidata's inner properties, left out"] += 1
            return None
        if said.subject.startswith(ENTITY) and not predicate.startswith(DIRECT):
            return None  # what Wikidata says of its own page: versions, dates, counts
        if relation is None:
            self._notes["facts of properties that are not wanted"] += 1
        return relation

    def _fact(self, subject: str, relation: str, object: str | Literal) -> None:
        if isinstance(object, str):
            other = "" if object.startswith("_:") else id_of(object)
            # An item's value that is an address outside Wikidata is a picture or a page.
            if other and (other != object or ":" in subject):
                self._packer.edge(subject, relation, other)
            else:
                self._notes["facts with a value that is a blank node or a web address"] += 1
            return
        if object.language and self._filters.language(object.language) is None:
            self._notes["names in other languages"] += 1
            return
        value = value_of(object)
        if value is None:
            self._notes["literals that are no date, number or name, left out"] += 1
        else:
            self._packer.literal(subject, relation, value)


@lru_cache(maxsize=1 << 16)
def item_of(iri: str) -> str:
    """The id of one of Wikidata's items; empty for anything else."""
    return iri[len(ENTITY) :] if _ITEM.fullmatch(iri) else ""


def id_of(iri: str) -> str:
    """An entity's id; empty for a node of Wikidata's that is no entity, or what fits no column."""
    if iri.startswith(WIKIDATA):
        return local if iri.startswith(ENTITY) and (local := iri[len(ENTITY) :]).isalnum() else ""
    return iri if iri.isprintable() and " " not in iri else ""


def iri_of(id: str) -> str:
    """The IRI that `id_of` read; a bare Wikidata id stands for its entity."""
    return id if ":" in id else ENTITY + id


def relation_of(predicate: str) -> str:
    """A relation's id; empty for one of Wikidata's that is not a direct one."""
    if predicate.startswith(WIKIDATA):
        return predicate[len(DIRECT) :] if predicate.startswith(DIRECT) else ""
    return predicate if predicate.isprintable() and " " not in predicate else ""


def value_of(literal: Literal) -> Value | None:
    """A literal as a date, a number or a name; None where it is none of them.

    A time on the first instant of a year is read as the year alone: Wikidata's RDF writes years
    so, and of a birthday on 1 January it says less than it could, but nothing false.
    """
    text = literal.text.strip()
    if literal.datatype in _NUMBERS:
        return _number(text)
    if literal.datatype in _DATES:
        return _date(text, literal.datatype)
    if literal.datatype not in _NAMES or not (text := clean(text)):
        return None
    return Value(kind="name", value=text)


def _number(text: str) -> Value | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return Value(kind="number", value=number) if math.isfinite(number) else None


def _date(text: str, datatype: str) -> Value | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, time = match.groups()
    if datatype == f"{XSD}dateTime" and (month, day) == ("01", "01") and (time or "")[:9] in (
        "", "T00:00:00",
    ):  # fmt: skip
        month = day = None
    return date_value("-".join(part for part in (year, month, day) if part))


def date_value(text: str) -> Value | None:
    """A date of year, month or day precision; None where there is no such day or year."""
    try:
        interval(text)
    except BadInput:
        return None
    return Value(kind="date", value=text)
