"""`Policy`: what decides the next turn, and `Actor`, one attempt of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from webfarer.types import FinishReason, Observation, Segment, Task


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an actor is started with. `seed` keys every random choice of the attempt; `question` is
    the user message as it is shown, the task's bare question where none is given."""

    task: Task
    system: str
    member: int = 0
    greedy: bool = False
    seed: int = 0
    question: str = ""

    def __post_init__(self) -> None:
        if not self.question:
            object.__setattr__(self, "question", self.task.question)


@dataclass(frozen=True, slots=True)
class Reply:
    """One turn as the policy wrote it, and what it cost. Times are seconds, tokens are counts.

    `text` is everything that was written, whatever comes after the call included: the loop cuts.
    """

    text: str
    finish: FinishReason = "stop"
    prompt_tokens: int = 0
    cached_tokens: int = 0
    thought_tokens: int = 0
    action_tokens: int = 0
    queue_s: float = 0.0
    model_s: float = 0.0
    cost: float = 0.0
    segment: int = 0
    policy_version: int = 0


class OutOfContext(Exception):
    """The attempt has no room for another turn: an outcome of the policy, not a failure."""


class Actor(Protocol):
    """One attempt at one task; used once, never reset.

    `act` is given what the last call returned (None at first) and writes the next turn. It raises
    `OutOfContext` at the token limit, and `FailureError` where our side broke.
    """

    async def act(self, observation: Observation | None) -> Reply: ...

    @property
    def segments(self) -> Sequence[Segment]:
        """The token ids so far, for a trainable policy; empty for a text-only one."""
        ...


class Policy(Protocol):
    """A local model, an OpenAI-compatible server, a scripted expert.

    A text-only policy can teach and be scored; `trainable` is False for it. `places` is how many
    attempts it keeps the state of (an engine's cache), and so how many are best made side by side;
    None where that makes no difference.
    """

    name: str
    trainable: bool
    places: int | None

    def start(self, attempt: Attempt) -> Actor: ...

    async def fresh(self) -> None:
        """Forgets what earlier attempts left behind (an engine's cache), so that the next ones do
        not depend on them; called while no attempt is running. Nothing to do where nothing is
        kept."""
        ...
