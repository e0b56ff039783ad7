"""`Task`: a question, its accepted answers, its proof and where it came from."""

from typing import Literal

from pydantic import Field

from webfarer.types.base import Record
from webfarer.types.query import Query

AnswerKind = Literal["entity", "name", "date", "number"]
Split = Literal["train", "valid", "test"]


class Answer(Record):
    """One thing that has to be said, and the other ways in which it may be said.

    `text` is the form a person would write: "Orla Venn", "4 March 1912", "1,204 km". `kind` tells
    the rule grader how to compare.
    """

    text: str = Field(min_length=1)
    kind: AnswerKind = "entity"
    aliases: tuple[str, ...] = ()


class Origin(Record):
    """Where a task came from: enough to make it again."""

    recipe: str
    seed: int
    graph: str  # the graph's SHA-256
    world: str = ""


class Task(Record):
    """A question with its answers. More than one answer means that all of them are wanted."""

    id: str
    question: str = Field(min_length=1)
    answers: tuple[Answer, ...] = Field(min_length=1)
    query: Query | None = None
    language: str = "en"
    level: int = 1
    hops: int = 1
    split: Split = "train"
    start_urls: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    origin: Origin
