"""`Renderer`: a model family's prompt and observation as token ids, prefix-stable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from webfarer.types import Observation


class Renderer(Protocol):
    """What was rendered is never rendered again: each method gives the ids to append.

    A conversation is `start`, then for each turn the ids sampled (or, for an expert's text,
    `turn`), then `observe`. The published tag format (`<think>`, `<tool_call>`,
    `<tool_response>`, `<answer>`) is the content; the family's chat template is the frame.
    Sampling stops at any of `stop_ids`; the first of them is the end-of-turn token.
    """

    tokenizer_sha256: str
    stop: tuple[str, ...]
    stop_ids: tuple[int, ...]

    def start(self, system: str, question: str) -> list[int]:
        """System and user message, through the open header of the first assistant turn."""
        ...

    def turn(self, text: str) -> list[int]:
        """A turn an expert wrote, through its end-of-turn token: what fine-tuning trains."""
        ...

    def observe(self, observation: Observation, *, closed: bool) -> list[int]:
        """Closes the assistant turn unless it is `closed`, gives the observation, its text escaped,
        and opens the next assistant turn.

        A turn is closed if, and only if, its last id is the end-of-turn token `stop_ids[0]`: one
        that stopped at a string, at its limit, or at another of `stop_ids` is still open.
        """
        ...

    def read(self, ids: Sequence[int]) -> str:
        """Sampled ids as text, without the end-of-turn token."""
        ...

    def count(self, text: str) -> int:
        """Tokens of an untrusted text, as `observe` would encode it."""
        ...
