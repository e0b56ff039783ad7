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
from webfarer.graph.query import execute
from webfarer.graph.text import node_text
from webfarer.policy import tags
from webfarer.policy.base import Attempt, Reply
from webfarer.types import (
    BadInput,
    Call,
    Observation,
    Query,
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


@dataclass(frozen=True)
class Step:
    """One fact to read: on the subject's page, the relation's object."""

    subject: str
    relation: str
    object: Node


_URL = re.compile(r"\]\((\S+)\)$", re.MULTILINE)
Clue = list[tuple[str, str, str]]  # a page, the relation whose list to read there, what it names
Script = Generator[str, Observation, None]
Found = Generator[str, Observation, bool]


class Expert:
    """The scripted expert as a `Policy`; text only, hence not trainable.

    `fault_rate` is the share of attempts that get one fault of `FAULTS`, drawn by the attempt's
    seed. Raises BadInput for a task without a query or of a world that is not in `atlases`.
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
        rng = random_for(attempt.seed, "expert")
        fault = rng.choice(FAULTS) if rng.random() < self._fault_rate else None
        return ExpertActor(task, self._atlases[task.origin.world], rng, fault)


class ExpertActor:
    """One attempt. `faults` says what was put in, once it has been."""

    segments: Sequence[Segment] = ()

    def __init__(self, task: Task, atlas: Atlas, rng: random.Random, fault: str | None) -> None:
        assert task.query is not None
        self.task, self.query = task, task.query
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
        steps = self._steps()
        if not _is_chain(self.query):
            target = self._binding("x")
            if not (yield from self._track_down(target)):
                yield self._answer("Nothing I read names it.", GAVE_UP)
                return
        for place, step in enumerate(steps):
            intro = self._plan(steps) if place == 0 else self._next(steps[place - 1], step)
            if not (yield from self._read(step, intro)):
                yield self._answer(f"I do not find the {self._relation(step)}.", GAVE_UP)
                return
            if place + 1 < len(steps) and self._now("early_answer"):
                break
        yield from self._conclude(steps, place if steps else -1)

    def _conclude(self, steps: Sequence[Step], place: int) -> Script:
        if not steps:
            text = self._text(self._binding("x"))
            yield self._answer(f"{text} fits everything that is asked.", text)
            return
        step = steps[place]
        thought = f"{self._says(step)} That is what was asked."
        text = self._text(step.object)
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
            if wanted in seen.text:
                return True
            thought = f"The {relation} is not there. I read more of the page of {label}."
        return False

    def _find(self, entity: str, intro: str) -> Found:
        """Searches until the entity's page is among the results; once is enough."""
        label = self.graph.label(entity)
        if entity in self._found:
            return True
        if self._now("wrong_query"):
            other = self.graph.label(self._stranger())
            yield self._search(f"{intro} I search for {other}.", other)
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
        others = [url for url in self._results if url != self.url_of(entity)]
        if others and self._now("redundant_visit"):
            yield self._visit("This may help too.", self._rng.choice(others), "overview")
        if self._now("invented_url"):
            url = self.url_of(self._stranger()) + "_of_the_North"
            yield self._visit("There should be a page.", url, "overview")

    def _track_down(self, target: str) -> Found:
        """Level 3: goes from a known entity, page by page, to one that names the target; then
        checks it."""
        for clue in self._clues():
            if (yield from self._follow(clue)):
                return (yield from self._check(target))
        return False

    def _follow(self, clue: Clue) -> Found:
        """Reads from the known entity on; each page must name the next thing."""
        for entity, relation, following in clue:
            heading = self.graph.relations[relation].inverse.get("en") or relation
            intro = f"The {heading} of {self.graph.label(entity)} lead on."
            if not (yield from self._find(entity, intro)):
                return False
            name, label = self.graph.label(entity), self.graph.label(following)
            seen = yield self._visit(
                f"I read what the page of {name} lists: {heading}.", self.url_of(entity), heading
            )
            if label not in seen.text:
                return False
        return True

    def _check(self, target: str) -> Found:
        label = self.graph.label(target)
        if not (yield from self._find(target, f"{label} may be the one.")):
            return False
        relations = list(dict.fromkeys(t.relation for t in _triples(self.query) if t.subject.var))
        goal = ", ".join(self.graph.relation_label(relation) for relation in relations)
        yield self._visit(f"I check {label}.", self.url_of(target), goal)
        return True

    # The plan

    def _steps(self) -> list[Step]:
        """The facts to read: all of a chain; of a web of constraints, the attribute asked for."""
        triples = _triples(self.query)
        if not _is_chain(self.query):
            triples = [t for t in triples if t.object.var == self.query.select]
        return [
            Step(
                subject=t.subject.id or self._binding(t.subject.var or ""),
                relation=t.relation,
                object=self._node(t),
            )
            for t in triples
        ]

    def _node(self, triple: Triple) -> Node:
        if triple.object.var is None:
            return triple.object.id or triple.object.literal or ""
        return self._bindings(triple.object.var)[0]

    def _bindings(self, var: str) -> list[Node]:
        query = self.query.model_copy(update={"select": var, "then": None})
        return [node for node in execute(query, self.graph) if not isinstance(node, int)]

    def _binding(self, var: str) -> str:
        node = self._bindings(var)[0]
        assert isinstance(node, str)
        return node

    def _clues(self) -> list[Clue]:
        """Ways from a known entity against the triples to the target, those that name the fewest
        things on the way first."""
        triples, clues = _triples(self.query), []
        for triple in triples:
            if triple.object.id is None or triple.subject.var is None:
                continue
            clue = [(triple.object.id, triple.relation, self._binding(triple.subject.var))]
            at = triple.subject.var
            for before in triples:
                if before.object.var == at and before.subject.var is not None:
                    here = clue[-1][2]
                    clue.append((here, before.relation, self._binding(before.subject.var)))
                    at = before.subject.var
            if at == "x":
                clues.append(clue)
        return sorted(clues, key=lambda clue: [len(self.graph.facts_to(at)) for at, _, _ in clue])

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
        """An entity that has nothing to do with the answer, as far as chance allows."""
        return self._rng.choice(list(self.graph.entities))


def _triples(query: Query) -> list[Triple]:
    return [clause for clause in query.where if isinstance(clause, Triple)]


def _is_chain(query: Query) -> bool:
    """Whether the query goes from a known entity, one triple after another, to what it selects."""
    at = None
    for clause in query.where:
        if not isinstance(clause, Triple) or clause.object.var is None:
            return False
        if (clause.subject.id is None) if at is None else (clause.subject.var != at):
            return False
        at = clause.object.var
    return at == query.select
