"""The records: one page of nouns on which everything else stands. No I/O, no torch."""

from webfarer.types.base import Record
from webfarer.types.batch import Batch
from webfarer.types.errors import BadInput, FailureError, FailureKind, WebfarerError
from webfarer.types.keyed import random_for, seed_for
from webfarer.types.query import (
    ArgMax,
    Clause,
    Count,
    OfType,
    Prefix,
    Query,
    Range,
    Term,
    Triple,
    Value,
)
from webfarer.types.score import Reward, Verdict
from webfarer.types.task import Answer, AnswerKind, Origin, Split, Task
from webfarer.types.trajectory import (
    Call,
    Failure,
    FinishReason,
    Group,
    ImagePart,
    Observation,
    ObservationKind,
    Part,
    Segment,
    SegmentRef,
    StopReason,
    TextPart,
    Trajectory,
    Turn,
    Usage,
)
from webfarer.types.web import Hit, Link, Page, PageStatus

__all__ = [
    "Answer", "AnswerKind", "ArgMax", "BadInput", "Batch", "Call", "Clause", "Count", "Failure",
    "FailureError", "FailureKind", "FinishReason", "Group", "Hit", "ImagePart", "Link",
    "Observation", "ObservationKind", "OfType", "Origin", "Page", "PageStatus", "Part", "Prefix",
    "Query", "Range", "Record", "Reward", "Segment", "SegmentRef", "Split", "StopReason", "Task",
    "Term", "TextPart", "Trajectory", "Triple", "Turn", "Usage", "Value", "Verdict",
    "WebfarerError", "random_for", "seed_for",
]
