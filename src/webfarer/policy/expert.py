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

from webfarer.graph.graph import KnowledgeGraph, Node
from webfarer.graph.query import execute, variables
from webfarer.graph.text import node_text
from webfarer.policy import tags
from webfarer.policy.base import Attempt, Reply
from webfarer.policy.plan import Clue, Plan, Step, is_chain
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
GAVE_UP = "I could not find it"


@dataclass(frozen=True)
class Atlas:
    """What the expert knows of one web: its graph, and the page of each entity."""

    graph: KnowledgeGraph
    url_of: Callable[[str], str]


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
        self.graph, self.url_of = atlas.graph, atlas.url_of
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
            yield from self._find(start, f"It has to do with {self.graph.label(start)}.")
            yield self._answer("That must be it.", self.graph.label(start))
            return
        if not self.plan.is_chain:
            target = self.plan.binding("x")
            if not (yield from self._track_down(target)):
                yield self._answer("Nothing I read names it.", GAVE_UP)
                return
        place = -1
        for place, step in enumerate(steps):
            intro = self._plan(steps) if place == 0 else self._next(steps[place - 1], step)
            if not (yield from self._read(step, intro)):
                yield self._answer(f"I do not find the {self._relation(step)}.", GAVE_UP)
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
            thought = f"{self._says(steps[place])} That is what was asked."
        else:
            text = self._text(self.plan.binding("x"))
            thought = f"{text} fits everything that is asked."
        if self._now("wrong_answer"):
            text = self.graph.label(self._stranger())
        yield self._answer(thought, text)

    def _read(self, step: Step, intro: str) -> Found:
        """Finds the subject's page and reads the relation there."""
        label, relation = self.graph.label(step.subject), self._relation(step)
        if step.subject not in self._found:
            if not (yield from self._find(step.subject, intro)):
                return False
            intro = ""
        yield from self._stray_visits(step.subject)
        url = self.url_of(step.subject)
        wanted = self._text(step.object)
        thought = f"{intro} I open the page of {label} for the {relation}.".strip()
        for goal in (f"{relation} of {label}", label):
            seen = yield self._visit(thought, url, goal)
            if _says(seen, wanted):
                return True
            thought = f"The {relation} is not there. I read more of the page of {label}."
        return False

    def _find(self, entity: str, intro: str) -> Found:
        """Searches until the entity's page is among the results; once is enough."""
        label = self.graph.label(entity)
        if entity in self._found:
            return True
        if self._now("wrong_query"):
            stranger = self._stranger()
            other = self.graph.label(stranger)
            seen = yield self._search(f"{intro} I search for {other}.", other)
            if self.url_of(stranger) in _URL.findall(seen.text):
                yield self._visit(f"I open {other}.", self.url_of(stranger), other)
            intro = "That was not what I need."
        if self._now("unknown_tool"):
            yield self._call(f"{intro} I look it up.", Call(name="lookup", arguments={"q": label}))
            intro = "There is no such tool."
        types = [self.graph.type_label(t) for t in self.graph.entities[entity].types[:1]]
        for query in (label, " ".join([label, *types])):
            seen = yield self._search(f"{intro} I search for {query}.".strip(), query)
            if self._now("repeated_action") and self._last is not None:
                seen = yield self._call("Once more.", self._last)
            self._results = _URL.findall(seen.text)
            if self.url_of(entity) in self._results:
                self._found.add(entity)
                return True
            intro = "It is not among the results."
        return False

    def _stray_visits(self, entity: str) -> Script:
        known = {self.url_of(entity), *self.task.evidence}
        others = [url for url in self._results if url not in known]
        if others and self._now("redundant_visit"):
            yield self._visit("This may help too.", self._rng.choice(others), "overview")
        if self._now("invented_url"):
            url = self.url_of(self._stranger()) + "_of_the_North"
            yield self._visit("There should be a page.", url, "overview")

    def _track_down(self, target: str) -> Found:
        """Level 3: goes from a known entity, page by page, to one that names the target, or
        searches for all that is known; then checks it."""
        for clue in self.plan.clues():
            if (yield from self._follow(clue)):
                return (yield from self._check(target, clue))
        query = self.plan.description()
        seen = yield self._search(f"No page names it. I search for {query}.", query)
        if self.url_of(target) not in _URL.findall(seen.text):
            return False
        self._found.add(target)
        return (yield from self._check(target, []))

    def _follow(self, clue: Clue) -> Found:
        """Reads from the known entity on; each page must name the next thing."""
        for entity, relation, following in clue:
            known = self.graph.relations[relation].inverse.get("en")
            heading = known or f"{self.graph.relation_label(relation)} of"
            intro = f"The {heading} of {self.graph.label(entity)} lead on."
            if not known:
                intro = f"I look at what has the {heading} {self.graph.label(entity)}."
            if not (yield from self._find(entity, intro)):
                return False
            yield from self._stray_visits(entity)
            name, label = self.graph.label(entity), self.graph.label(following)
            seen = yield self._visit(
                f"I read what the page of {name} lists: {heading}.", self.url_of(entity), heading
            )
            if not _says(seen, label):
                url = self._longer_list(entity)
                goal = heading if url else name
                url = url or self.url_of(entity)
                seen = yield self._visit(f"I read on about {name}.", url, goal)
                if not _says(seen, label):
                    return False
        return True

    def _longer_list(self, entity: str) -> str | None:
        """A list about the entity that is too long for its page, if the last results had one."""
        slug = self.url_of(entity).rsplit("/", 1)[-1]
        lists = (url for url in self._results if "/list/" in url and url.endswith(f"/{slug}"))
        return next(lists, None)

    def _check(self, target: str, clue: Clue) -> Found:
        """Reads on the target's page all that was said of it, and on its neighbours' pages what
        was said of them and the clue did not show."""
        label = self.graph.label(target)
        if not (yield from self._find(target, f"{label} may be the one.")):
            return False
        relations = self.plan.relations_to_check
        goal = ", ".join(self.graph.relation_label(relation) for relation in relations)
        seen = yield self._visit(f"I check {label}.", self.url_of(target), goal)
        if missing := self._unsaid(seen):
            goal = ", ".join(self.graph.relation_label(t.relation) for t in missing)
            goal = f"{goal} of {label}"
            again = yield self._visit(f"I check the {goal}.", self.url_of(target), goal)
            if any(triple in missing for triple in self._unsaid(again)):
                return False
        for step in self.plan.asides(clue):
            if not (yield from self._read(step, "One thing is left to check.")):
                return False
        return True

    def _unsaid(self, seen: Observation) -> list[Triple]:
        """What the question says of the target and the observation does not."""
        return [
            triple
            for triple in self.plan.said_of_target
            if not any(_says(seen, self._text(node)) for node in self.plan.nodes(triple))
        ]

    # Wording

    def _plan(self, steps: Sequence[Step]) -> str:
        relations = ", then the ".join(self._relation(step) for step in steps)
        return f"I need the {relations} of {self.graph.label(steps[0].subject)}."

    def _next(self, done: Step, step: Step) -> str:
        return f"{self._says(done)} Now the {self._relation(step)} of {self._text(step.subject)}."

    def _says(self, step: Step) -> str:
        subject = self.graph.label(step.subject)
        return f"The {self._relation(step)} of {subject} is {self._text(step.object)}."

    def _relation(self, step: Step) -> str:
        return self.graph.relation_label(step.relation)

    def _text(self, node: Node) -> str:
        return node_text(self.graph, node)

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


def _says(seen: Observation, text: str) -> bool:
    """Whether the text stands in the observation by itself: "204" does not stand in "1,204"."""
    return re.search(rf"(?<!\w)(?<!\d[.,]){re.escape(text)}(?!\w|[.,]\d)", seen.text) is not None
