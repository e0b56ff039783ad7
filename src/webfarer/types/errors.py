"""Errors for people: one line that says what was wrong, with what, and what to do."""

from typing import Literal


class WebfarerError(Exception):
    """Something went wrong that the user should read about; the command exits with 1."""

    exit_code = 1


class BadInput(WebfarerError):
    """What the user gave cannot be used: a file, a setting, a graph; the command exits with 2."""

    exit_code = 2


FailureKind = Literal["engine", "tool", "search", "web", "judge", "browser", "server"]


class FailureError(WebfarerError):
    """Our side broke while an agent was at work.

    Raised by engines, webs, tools and judges; the rollout turns it into a `Failure` record. It is
    never text in a trajectory, never a reward and never in a baseline.
    """

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind: FailureKind = kind
        self.message = message
