"""A scripted expert: it knows the graph, and still has to find every fact in the web.

The expert derives its plan from the task's query. It goes on only when what it needed stands in an
observation, so that a finished trajectory is one a reader of the same pages could have written;
where the web does not show a fact, it gives up and says so. Seeded faults make some attempts bad
in the ways that real policies are, so that filters have work (`FAULTS`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from webfarer.graph.graph import KnowledgeGraph, Node
from webfarer.graph.query import execute, variables
from webfarer.graph.text import name_in_text, node_text
from webfarer.policy import tags
from webfarer.policy.base import Attempt, Reply
from webfarer.policy.plan import Clue, Plan, Step, is_chain
from webfarer.policy.speech import ENGLISH, speech_of
from webfarer.types import (
    BadInput,
    Call,
    Observation,
    Segment,
    Task,
    Triple,
    random_for,
)

FAULTS = (
    "wrong_query",
    "redundant_visit",
    "repeated_action",
    "unknown_tool",
    "early_answer",
    "wrong_answer",
    "invented_url",
)
GAVE_UP = ENGLISH.gave_up


@dataclass(frozen=True)
class Atlas:
    """What the expert knows of one web: its graph, and the page of each entity."""

    graph: KnowledgeGraph
    url_of: Callable[[str], str]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What its entities are called, in the graph's language."""
        return tuple(map(self.graph.label, self.graph.entities))


_URL = re.compile(r"\]\((\S+)\)$", re.MULTILINE)
Script = Generator[str, Observation, None]
Found = Generator[str, Observation, bool]


class Expert:
    """The scripted expert as a `Policy`; text only, hence not trainable.

    `fault_rate` is the share of attempts that get one fault of `FAULTS`, drawn by the attempt's
    seed. Raises BadInput for a task without a query, one that counts, compares, or is neither
    a chain nor about an `x`, and one without an answer in its world or a world in `atlases`.
    """

    name = "expert"
    trainable = False
    places: int | None = None

    def __init__(self, atlases: Mapping[str, Atlas], fault_rate: float = 0.0) -> None:
        self._atlases = atlases
        self._fault_rate = fault_rate

    def start(self, attempt: Attempt) -> ExpertActor:
        task = attempt.task
        if task.query is None or task.origin.world not in self._atlases:
            raise BadInput(
                f"task {task.id}: the expert needs the task's query and its world "
                f"({task.origin.world!r}); give a task made from a graph"
            )
        graph = self._atlases[task.origin.world].graph
        if task.query.then is not None:
            raise BadInput(f"task {task.id}: its query counts or compares, which no script reads")
        if not is_chain(task.query) and "x" not in variables(task.query):
            raise BadInput(f"task {task.id}: its query is no chain and has no x to look for")
        if not execute(task.query, graph):
            raise BadInput(
                f"task {task.id}: its query has no answer in {task.origin.world!r}; give the world "
                "that it was made from"
            )
        rng = random_for(attempt.seed, "expert")
        fault = rng.choice(FAULTS) if rng.random() < self._fault_rate else None
        return ExpertActor(task, self._atlases[task.origin.world], rng, fault)

    async def fresh(self) -> None:
        """Nothing is kept from one attempt to the next."""


class ExpertActor:
    """One attempt. `faults` says what was put in, once it has been."""

    segments: Sequence[Segment] = ()

    def __init__(self, task: Task, atlas: Atlas, rng: random.Random, fault: str | None) -> None:
        assert task.query is not None
        self.task, self.plan = task, Plan(atlas.graph, task.query)
        self.graph, self.url_of, self._atlas = atlas.graph, atlas.url_of, atlas
        self._speech = speech_of(atlas.graph)
        self._rng = rng
        self._fault = fault
        self.faults: tuple[str, ...] = ()
        self._script = self._solve()
        self._last: Call | None = None
        self._found: set[str] = set()
        self._results: list[str] = []

    async def act(self, observation: Observation | None) -> Reply:
        text = next(self._script) if observation is None else self._script.send(observation)
        return Reply(text=text)

    # The script

    def _solve(self) -> Script:
        steps = self.plan.steps()
        if (start := self._hasty_start(steps)) and self._now("early_answer"):
            about = self._speech.fill(self._speech.to_do_with, name=self._name(start))
            yield from self._find(start, about)
            yield self._answer(self._speech.must_be, self.graph.label(start))
            return
        if not self.plan.is_chain:
            target = self.plan.binding("x")
            if not (yield from self._track_down(target)):
                yield self._answer(self._speech.nothing_names, self._speech.gave_up)
                return
        place = -1
        for place, step in enumerate(steps):
            intro = self._plan(steps) if place == 0 else self._next(steps[place - 1], step)
            if not (yield from self._read(step, intro)):
                thought = self._speech.fill(self._speech.not_found, relation=self._relation(step))
                yield self._answer(thought, self._speech.gave_up)
                return
            if place + 1 < len(steps) and self._now("early_answer"):
                break
        yield from self._conclude(steps, place)

    def _hasty_start(self, steps: Sequence[Step]) -> str | None:
        """What an attempt without a step to leave out stops at when it answers too early."""
        if self.plan.is_chain:
            return steps[0].subject if len(steps) == 1 else None
        return next((clue[0][0] for clue in self.plan.clues()), None)

    def _conclude(self, steps: Sequence[Step], place: int) -> Script:
        if steps:
            text = self._text(steps[place].object)
            thought = self._speech.joined(self._said(steps[place]), self._speech.asked)
        else:
            text = self._text(self.plan.binding("x"))
            target = self._spoken(self.plan.binding("x"))
            thought = self._speech.fill(self._speech.fits, text=target)
        if self._now("wrong_answer"):
            text = self.graph.label(self._stranger())
        yield self._answer(thought, text)

    def _read(self, step: Step, intro: str) -> Found:
        """Finds the subject's page and reads the relation there."""
        label, relation = self.graph.label(step.subject), self._relation(step)
        name, say = self._name(step.subject), self._speech
        if step.subject not in self._found:
            if not (yield from self._find(step.subject, intro)):
                return False
            intro = ""
        yield from self._stray_visits(step.subject)
        url = self.url_of(step.subject)
        wanted = self._text(step.object)
        thought = say.joined(intro, say.fill(say.open_for, name=name, relation=relation))
        for goal in (say.fill(say.goal, relation=relation, name=label), label):
            seen = yield self._visit(thought, url, goal)
            if self._shows(seen, wanted):
                return True
            thought = say.fill(say.read_more, relation=relation, name=name)
        return False

    def _find(self, entity: str, intro: str) -> Found:
        """Searches until the entity's page is among the results; once is enough."""
        label, say = self.graph.label(entity), self._speech
        if entity in self._found:
            return True
        if self._now("wrong_query"):
            stranger = self._stranger()
            other = self.graph.label(stranger)
            seen = yield self._search(say.joined(intro, say.fill(say.search, query=other)), other)
            if self.url_of(stranger) in _URL.findall(seen.text):
                thought = say.fill(say.open_page, name=self._name(stranger))
                yield self._visit(thought, self.url_of(stranger), other)
            intro = say.wrong_way
        if self._now("unknown_tool"):
            lookup = Call(name="lookup", arguments={"q": label})
            yield self._call(say.joined(intro, say.look_up), lookup)
            intro = say.no_tool
        types = [self.graph.type_label(t) for t in self.graph.entities[entity].types[:1]]
        for query in (label, " ".join([label, *types])):
            seen = yield self._search(say.joined(intro, say.fill(say.search, query=query)), query)
            if self._now("repeated_action") and self._last is not None:
                seen = yield self._call(say.once_more, self._last)
            self._results = _URL.findall(seen.text)
            if self.url_of(entity) in self._results:
                self._found.add(entity)
                return True
            intro = say.absent
        return False

    def _stray_visits(self, entity: str) -> Script:
        known = {self.url_of(entity), *self.task.evidence}
        others = [url for url in self._results if url not in known]
        if others and self._now("redundant_visit"):
            url = self._rng.choice(others)
            yield self._visit(self._speech.may_help, url, self._speech.overview)
        if self._now("invented_url"):
            url = self.url_of(self._stranger()) + "_of_the_North"
            yield self._visit(self._speech.should_be, url, self._speech.overview)

    def _track_down(self, target: str) -> Found:
        """Level 3: goes from a known entity, page by page, to one that names the target, or
        searches for all that is known; then checks it."""
        for clue in self.plan.clues():
            if (yield from self._follow(clue)):
                return (yield from self._check(target, clue))
        query = self.plan.description()
        say = self._speech
        thought = say.joined(say.no_page, say.fill(say.search, query=query))
        seen = yield self._search(thought, query)
        if self.url_of(target) not in _URL.findall(seen.text):
            return False
        self._found.add(target)
        return (yield from self._check(target, []))

    def _follow(self, clue: Clue) -> Found:
        """Reads from the known entity on; each page must name the next thing."""
        say = self._speech
        for entity, relation, following in clue:
            known = self.graph.relations[relation].inverse.get(self.graph.language)
            heading = known or say.fill(say.heading, relation=self.graph.relation_label(relation))
            name, label = self._name(entity), self.graph.label(following)
            intro = say.fill(say.leads_on if known else say.look_at, heading=heading, name=name)
            if not (yield from self._find(entity, intro)):
                return False
            yield from self._stray_visits(entity)
            thought = say.fill(say.reads_list, name=name, heading=heading)
            seen = yield self._visit(thought, self.url_of(entity), heading)
            if not self._shows(seen, label):
                url = self._longer_list(entity)
                goal = heading if url else self.graph.label(entity)
                url = url or self.url_of(entity)
                seen = yield self._visit(say.fill(say.reads_on, name=name), url, goal)
                if not self._shows(seen, label):
                    return False
        return True

    def _longer_list(self, entity: str) -> str | None:
        """A list about the entity that is too long for its page, if the last results had one."""
        slug = self.url_of(entity).rsplit("/", 1)[-1]
        lists = (url for url in self._results if "/list/" in url and f"/{slug}/" in f"{url}/")
        return next(lists, None)

    def _check(self, target: str, clue: Clue) -> Found:
        """Reads on the target's page all that was said of it, and on its neighbours' pages what
        was said of them and the clue did not show."""
        label, name, say = self.graph.label(target), self._name(target), self._speech
        if not (yield from self._find(target, say.fill(say.may_be, name=name))):
            return False
        relations = self.plan.relations_to_check
        goal = say.listed.join(self.graph.relation_label(relation) for relation in relations)
        seen = yield self._visit(say.fill(say.check, name=name), self.url_of(target), goal)
        if missing := self._unsaid(seen):
            goal = say.listed.join(self.graph.relation_label(t.relation) for t in missing)
            thought = say.fill(say.check_goal, goal=say.fill(say.goal, relation=goal, name=name))
            goal = say.fill(say.goal, relation=goal, name=label)
            again = yield self._visit(thought, self.url_of(target), goal)
            if any(triple in missing for triple in self._unsaid(again)):
                return False
        for step in self.plan.asides(clue):
            if not (yield from self._read(step, say.one_left)):
                return False
        return True

    def _unsaid(self, seen: Observation) -> list[Triple]:
        """What the question says of the target and the observation does not."""
        return [
            triple
            for triple in self.plan.said_of_target
            if not any(self._shows(seen, self._text(node)) for node in self.plan.nodes(triple))
        ]

    # Wording

    def _plan(self, steps: Sequence[Step]) -> str:
        relations = self._speech.chained.join(self._relation(step) for step in steps)
        subject = self._name(steps[0].subject)
        return self._speech.fill(self._speech.plan, relations=relations, subject=subject)

    def _next(self, done: Step, step: Step) -> str:
        now = self._speech.fill(
            self._speech.now, relation=self._relation(step), subject=self._name(step.subject)
        )
        return self._speech.joined(self._said(done), now)

    def _said(self, step: Step) -> str:
        return self._speech.fill(
            self._speech.says,
            relation=self._relation(step),
            subject=self._name(step.subject),
            object=self._spoken(step.object),
        )

    def _name(self, entity: str) -> str:
        return name_in_text(self.graph, entity)

    def _spoken(self, node: Node) -> str:
        return self._name(node) if isinstance(node, str) else self._text(node)

    def _relation(self, step: Step) -> str:
        return self.graph.relation_label(step.relation)

    def _text(self, node: Node) -> str:
        return node_text(self.graph, node)

    def _shows(self, seen: Observation, text: str) -> bool:
        """Whether the text stands in the observation by itself."""
        return self._speech.stands(text, seen.text, self._atlas.names)

    # Turns

    def _search(self, thought: str, query: str) -> str:
        return self._call(thought, Call(name="search", arguments={"query": [query]}))

    def _visit(self, thought: str, url: str, goal: str) -> str:
        return self._call(thought, Call(name="visit", arguments={"url": [url], "goal": goal}))

    def _call(self, thought: str, call: Call) -> str:
        self._last = call
        return tags.write(thought, call)

    def _answer(self, thought: str, answer: str) -> str:
        return tags.write(thought, answer)

    def _now(self, fault: str) -> bool:
        """Whether to commit this attempt's fault here; it is committed once."""
        if self._fault != fault:
            return False
        self._fault = None
        self.faults = (fault,)
        return True

    def _stranger(self) -> str:
        """An entity that is neither the answer nor part of the evidence, if there is one."""
        forms = {form for answer in self.task.answers for form in (answer.text, *answer.aliases)}
        strangers = [
            entity
            for entity in self.graph.entities
            if self.graph.label(entity) not in forms
            and self.url_of(entity) not in self.task.evidence
        ]
        return self._rng.choice(strangers or list(self.graph.entities))
