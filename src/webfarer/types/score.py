"""`Verdict` and `Reward`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from webfarer.types.base import Record


class Verdict(Record):
    """What a grader found: `unjudged` means that it could not tell, and is never read as wrong."""

    status: Literal["correct", "wrong", "unjudged"]
    reason: str
    grader: str


class Reward(Record):
    """Named parts and their weights; `total` is their weighted sum.

    WebDancer and WebSailor (equation 5): 0.1 x format + 0.9 x answer.
    """

    parts: dict[str, float]
    weights: dict[str, float]

    @model_validator(mode="after")
    def _match(self) -> Reward:
        if self.parts.keys() != self.weights.keys():
            raise ValueError(
                f"parts {sorted(self.parts)} and weights {sorted(self.weights)} differ"
            )
        return self

    @property
    def total(self) -> float:
        return sum(self.weights[name] * value for name, value in self.parts.items())
