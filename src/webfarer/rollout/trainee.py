"""Attempts under a trainer's weights: a local engine that takes them after every step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from webfarer.policy.base import Policy
from webfarer.rollout.collect import Arena, Job, jobs_for, together
from webfarer.rollout.react import Rolled
from webfarer.types import BadInput, Task, seed_for

Make = Callable[[Sequence[Job]], Sequence[Rolled]]
Share = Callable[[Sequence[Job], Make], Sequence[Rolled]]


class Taking(Protocol):
    """An engine in the trainer's process: weights are copied, not read from a folder."""

    context: int

    def load_state(self, state: Mapping[str, Any], version: int) -> None: ...

    def rest(self) -> None:
        """Leaves an accelerator's memory to the training, until there is something to sample."""
        ...


class Stateful(Protocol):
    def state_dict(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Trainee:
    """The policy that is trained, over the engine that serves it, in its arena; `scored`, where it
    is another, is that of the held-out tasks.

    Attempts run side by side; each is graded as soon as it ends, while the others go on. Their
    seeds are keyed by the arena's seed and the step, so that a step taken again is the same.
    """

    policy: Policy
    engine: Taking
    arena: Arena
    scored: Arena | None = None

    def __post_init__(self) -> None:
        cut = getattr(self.policy, "top_p", 1.0) != 1.0 or getattr(self.policy, "top_k", 0) != 0
        if cut:
            raise BadInput("reinforcement learning samples without top-p and top-k: leave them off")

    @property
    def longest(self) -> int:
        return self.engine.context

    def make(self, jobs: Sequence[Job], step: int) -> list[Rolled]:
        """The graded attempts, in the order of the jobs."""
        arena = replace(self.arena, seed=seed_for(self.arena.seed, "rl", step))
        made = asyncio.run(together(self.policy, arena, jobs))
        self.engine.rest()
        return made

    def attempts(self, jobs: Sequence[Job]) -> list[Rolled]:
        """Graded attempts outside of any step, as an evaluation makes them."""
        return asyncio.run(together(self.policy, self.scored or self.arena, jobs))

    def greedy(
        self, tasks: Sequence[Task], share: Share = lambda jobs, make: make(jobs)
    ) -> float | None:
        """The share of tasks whose attempt at temperature 0 is correct; failures, and answers that
        no one could judge, left out. None where that leaves fewer than half: what is left is no
        measure. `share` shares the attempts out over processes."""
        rolled = share(jobs_for(tasks, samples=0, greedy=True), self.attempts)
        found = [one.trajectory.verdict.status for one in rolled if one.trajectory.verdict]
        judged = [status for status in found if status != "unjudged"]
        return judged.count("correct") / len(judged) if 2 * len(judged) >= len(rolled) > 0 else None

    def take(self, model: Stateful, version: int) -> None:
        """Copies the model's weights into the engine, which forgets its cache."""
        self.engine.load_state(model.state_dict(), version)
