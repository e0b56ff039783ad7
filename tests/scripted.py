"""Policies, tools and graders that do as they are told, for tests of the loop around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from webfarer.grade.sources import Judged
from webfarer.policy import tags
from webfarer.policy.base import Attempt, Reply
from webfarer.policy.chat import ChatRenderer
from webfarer.policy.engine import Completion, Sampling
from webfarer.rollout.collect import Arena
from webfarer.tools.toolbox import Toolbox
from webfarer.types import (
    Answer,
    Call,
    Observation,
    Origin,
    Segment,
    Task,
    Trajectory,
    Verdict,
    random_for,
)

SEARCH = tags.write("I look.", Call(name="search", arguments={"query": ["Orla"]}))
ANSWER = tags.write("That is it.", "Orla Venn")


def a_task(name: str = "t", world: str = "w") -> Task:
    origin = Origin(recipe="hand", seed=0, graph="0", world=world)
    return Task(id=name, question="Who?", answers=(Answer(text="Orla Venn"),), origin=origin)


def an_attempt(**changes) -> Attempt:
    return Attempt(**({"task": a_task(), "system": "be brief", "seed": 11} | changes))


class Actor:
    """Says the texts in turn; an exception among them is raised, a reply given as it is."""

    segments: Sequence[Segment] = ()

    def __init__(self, texts: Sequence[str | Reply | Exception]) -> None:
        self.texts = list(texts)
        self.heard: list[Observation | None] = []

    async def act(self, observation: Observation | None) -> Reply:
        self.heard.append(observation)
        said = self.texts[len(self.heard) - 1]
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Reply) else Reply(text=said)


class Scripted:
    """A text-only policy; `script` gives the texts of an attempt."""

    name, trainable, places = "scripted", False, None

    def __init__(self, *texts, script: Callable[[Attempt], Sequence] | None = None) -> None:
        self.script = script or (lambda attempt: texts)
        self.started: list[Attempt] = []
        self.actors: list[Actor] = []
        self.refreshed: list[int] = []  # attempts that were started before each `fresh`

    def start(self, attempt: Attempt) -> Actor:
        self.started.append(attempt)
        self.actors.append(Actor(self.script(attempt)))
        return self.actors[-1]

    async def fresh(self) -> None:
        self.refreshed.append(len(self.started))


class FakeTool:
    """A tool called `search` that answers, or raises, what it was told to."""

    name = "search"
    description = "Searches."
    schema = {"type": "object", "properties": {"query": {"type": "array"}}, "required": ["query"]}

    def __init__(self, said: Observation | Exception | None = None) -> None:
        self.said = said or Observation.of("Orla Venn, painter")
        self.calls: list[dict] = []

    def problem(self, arguments: dict) -> str | None:
        return None if "query" in arguments else "query is missing from arguments"

    async def call(self, arguments: dict) -> Observation:
        self.calls.append(arguments)
        await asyncio.sleep(0)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


class Exact:
    """Correct where the answer is the first accepted one; raises `broken` where it is given."""

    name = "exact"

    def __init__(self, broken: Exception | None = None) -> None:
        self.broken = broken

    def grade(self, task: Task, answer: str | None) -> Verdict:
        if self.broken is not None:
            raise self.broken
        right = answer == task.answers[0].text
        return Verdict(status="correct" if right else "wrong", reason="compared", grader="exact")

    async def judge(self, task: Task, trajectory: Trajectory) -> Judged:
        return Judged(self.grade(task, trajectory.answer))


class Sampler:
    """An engine that "samples" the ids of the texts it is told to say, log-probabilities and all.

    `script` gives the turns of a prompt's attempt by the number of turns it already holds. What it
    returned is kept in `sampled`, so that a test can compare it with what was recorded.
    """

    version = 7

    def __init__(self, renderer: ChatRenderer, script: Callable[[int], str], context: int = 4096):
        self.renderer, self.script, self.context = renderer, script, context
        self.sampled: list[tuple[list[int], Completion]] = []
        self.forgot = 0

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        await asyncio.sleep(0)
        opens = self.renderer.tokenizer.token_to_id("<think>")
        ids = self.renderer.turn(self.script(list(prompt_ids).count(opens)))[: sampling.max_tokens]
        rng = random_for("sampler", sampling.seed)
        logprobs = tuple(-rng.random() for _ in ids)
        finish = "stop_id" if ids[-1] in sampling.stop_ids else "length"
        done = Completion(tuple(ids), logprobs, finish, self.version)
        self.sampled.append((list(prompt_ids), done))
        return done

    async def update_weights(self, source: Path, version: int) -> None:
        self.version = version

    async def forget(self) -> None:
        self.forgot += 1


def an_arena(tool: FakeTool | None = None, grader=None, max_turns: int = 5, seed: int = 3) -> Arena:
    toolbox = Toolbox([tool or FakeTool()])
    return Arena({"w": toolbox}, grader or Exact(), "be brief", max_turns, count, seed)


def count(text: str) -> int:
    """Tokens as words."""
    return len(text.split())
