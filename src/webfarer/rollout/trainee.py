"""Attempts under a trainer's weights: a local engine that takes them after every step."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from webfarer.policy.base import Policy
from webfarer.rollout.collect import Arena, Job, together
from webfarer.rollout.react import Rolled
from webfarer.types import seed_for


class Taking(Protocol):
    """An engine in the trainer's process: weights are copied, not read from a folder."""

    context: int

    def load_state(self, state: Mapping[str, Any], version: int) -> None: ...


class Stateful(Protocol):
    def state_dict(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Trainee:
    """The policy that is trained, over the engine that serves it, in its arena.

    Attempts run side by side; each is graded as soon as it ends, while the others go on. Their
    seeds are keyed by the arena's seed and the step, so that a step taken again is the same.
    """

    policy: Policy
    engine: Taking
    arena: Arena

    @property
    def longest(self) -> int:
        return self.engine.context

    def make(self, jobs: Sequence[Job], step: int) -> list[Rolled]:
        """The graded attempts, in the order of the jobs."""
        arena = replace(self.arena, seed=seed_for(self.arena.seed, "rl", step))
        return asyncio.run(together(self.policy, arena, jobs))

    def attempts(self, jobs: Sequence[Job]) -> list[Rolled]:
        """Graded attempts outside of any step, as an evaluation makes them."""
        return asyncio.run(together(self.policy, self.arena, jobs))

    def take(self, model: Stateful, version: int) -> None:
        """Copies the model's weights into the engine, which forgets its cache."""
        self.engine.load_state(model.state_dict(), version)
