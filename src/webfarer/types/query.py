"""`Query`: a question as data, which any program can execute over a graph.

`docs/query.md` defines the form and its meaning completely; `webfarer.graph` executes it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from webfarer.types.base import Record

QUERY_VERSION = 1

LiteralKind = Literal["date", "number", "name"]


class Value(Record):
    """A literal attribute: a date, a number with its unit, or a name.

    A date is ISO 8601 text of year, month or day precision ("1912", "1912-03", "1912-03-04"); a
    number is a float, its unit a symbol such as "km" (empty: a bare count); a name is text.
    """

    kind: LiteralKind
    value: str | float
    unit: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Value:
        if (self.kind == "number") != isinstance(self.value, float):
            raise ValueError(f"a {self.kind} cannot hold {self.value!r}")
        return self


class Term(Record):
    """A place in a triple: exactly one of a variable, an entity's id and a literal."""

    var: str | None = None
    id: str | None = None
    literal: Value | None = None

    @model_validator(mode="after")
    def _one(self) -> Term:
        if sum(part is not None for part in (self.var, self.id, self.literal)) != 1:
            raise ValueError("a term is exactly one of var, id and literal")
        return self


class Triple(Record):
    """Holds where the graph has the fact (subject, relation, object); a subject is no literal."""

    op: Literal["triple"] = "triple"
    subject: Term
    relation: str
    object: Term


class OfType(Record):
    """Holds where the variable is an entity of the type."""

    op: Literal["type"] = "type"
    var: str
    type: str


class Range(Record):
    """Holds where the variable is a number or date within [min, max]; either end may be open.

    Ends are two numbers or two dates (text). A date is within if all the days it covers are; a
    number is compared as it stands, in its own unit.
    """

    op: Literal["range"] = "range"
    var: str
    min: float | str | None = None
    max: float | str | None = None


class Prefix(Record):
    """Holds where a name, or an entity's label in exactly the language, begins with the text."""

    op: Literal["prefix"] = "prefix"
    var: str
    text: str
    language: str = "en"


class Count(Record):
    """Turns the answer into the number of distinct values that the selected variable takes."""

    op: Literal["count"] = "count"


class ArgMax(Record):
    """Keeps the answers whose binding of `var`, a number or date, is greatest (or least).

    All are kept that no other certainly beats: ties, and dates of which one covers the other.
    """

    op: Literal["argmax"] = "argmax"
    var: str
    least: bool = False


Clause = Triple | OfType | Range | Prefix


class Query(Record):
    """All clauses hold at once; the answers are the distinct values of `select`."""

    version: Literal[1] = QUERY_VERSION
    select: str
    where: tuple[Clause, ...] = Field(min_length=1)
    then: Count | ArgMax | None = None
