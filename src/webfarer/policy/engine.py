"""`Engine`: token in, token out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy.

    Generation stops after a token of `stop_ids` (kept), after the token with which the decoded
    text first holds one of `stop` (the whole token is kept, also where it goes beyond the string),
    or after `max_tokens`. Draws are keyed by `seed` and the position in the generation, so that
    neither batch nor order matters. Reinforcement learning uses top_p 1 and top_k 0 (off).
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What was sampled. `logprobs` are those of the distribution sampled from (after temperature;
    for greedy, of the model's own at temperature 1), one for each id. Times are seconds."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Literal["stop_id", "stop_string", "length"]
    policy_version: int = 0
    cached_tokens: int = 0
    queue_s: float = 0.0
    model_s: float = 0.0


class Engine(Protocol):
    """Samples from a model. `generate` may be called by many attempts at once.

    It raises `FailureError("engine", ...)` where the engine broke, and ValueError where prompt and
    `max_tokens` do not fit `context`, the longest sequence in tokens.
    """

    context: int
    version: int

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion: ...

    async def update_weights(self, source: Path, version: int) -> None:
        """Loads the weights of a model folder; what follows is sampled under `version`."""
        ...

    async def forget(self) -> None:
        """Drops every cached prefix: what follows is what a new engine would give, bit for bit
        where the engine is deterministic. Raises RuntimeError while requests are running."""
        ...
