"""Tasks from a graph, at three levels, each proven to have exactly one answer.

Level 1 is one look-up, level 2 a chain of two or three, level 3 a web of constraints. A task is
kept only if its query, executed over its graph, gives one answer and that answer is not in the
question; and its own gold answer must be graded correct before it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from webfarer.grade.gold import gold_answer
from webfarer.grade.rules import check_gold
from webfarer.graph.graph import Fact, KnowledgeGraph, Node
from webfarer.graph.query import execute
from webfarer.synth.constraints import Puzzler
from webfarer.synth.walk import Walker, chain_query
from webfarer.synth.wording import Wording
from webfarer.types import Origin, Query, Split, Task, random_for

_DRAWS_A_TASK = 60  # draws allowed for each task wanted before a graph counts as exhausted


@dataclass(frozen=True)
class Source:
    """A graph to ask about. `keep` says which facts questions may rest on (all of them, or those
    of a split); `url_of` gives an entity's page."""

    graph: KnowledgeGraph
    url_of: Callable[[str], str]
    start_urls: tuple[str, ...] = ()
    keep: Callable[[Fact], bool] = lambda fact: True


@dataclass(frozen=True)
class _Draft:
    question: str
    query: Query
    answer: Node
    facts: tuple[Fact, ...]


def make_tasks(
    source: Source, *, seed: int, split: Split, per_level: Mapping[int, int], recipe: str
) -> list[Task]:
    """At most `per_level[level]` tasks of each level, all different; fewer where the graph has no
    more. The same graph, seed and settings give the same tasks."""
    tasks: list[Task] = []
    for level, wanted in sorted(per_level.items()):
        origin = Origin(
            recipe=recipe, seed=seed, graph=source.graph.sha256, world=source.graph.name
        )
        drafts = _proven(source, _drafts(source, seed, level, wanted))
        for number, draft in zip(range(wanted), drafts, strict=False):
            task = _task(source, draft, level, split, origin, number)
            check_gold(task)
            tasks.append(task)
    return tasks


def _drafts(source: Source, seed: int, level: int, wanted: int) -> Iterator[_Draft]:
    rng = random_for(seed, "tasks", source.graph.name, level)
    wording = Wording(source.graph)
    make = _puzzles if level == 3 else _chains
    yield from make(source, wording, rng, level, wanted * _DRAWS_A_TASK)


def _chains(source: Source, wording: Wording, rng, level: int, draws: int) -> Iterator[_Draft]:  # noqa: ANN001
    walker = Walker(source.graph, rng)
    for _ in range(draws):
        hops = 1 if level == 1 else rng.choice((2, 2, 3))
        chain = walker.walk(hops)
        if chain is None or wording.ambiguous(chain[0].subject):
            continue
        if all(source.keep(fact) for fact in chain):
            question = wording.chain(chain, rng)
            yield _Draft(question, chain_query(chain), chain[-1].object, chain)


def _puzzles(source: Source, wording: Wording, rng, level: int, draws: int) -> Iterator[_Draft]:  # noqa: ANN001
    puzzler = Puzzler(source.graph, wording, rng, source.keep)
    for _ in range(draws):
        puzzle = puzzler.puzzle()
        if puzzle is not None:
            yield _Draft(puzzle.question, puzzle.query, puzzle.answer, puzzle.facts)


def _proven(source: Source, drafts: Iterator[_Draft]) -> Iterator[_Draft]:
    """The drafts with one answer, not given away by the question, no question twice."""
    asked: set[str] = set()
    for draft in drafts:
        if draft.question in asked or _gives_away(draft, source.graph):
            continue
        if execute(draft.query, source.graph) == [draft.answer]:
            asked.add(draft.question)
            yield draft


def _gives_away(draft: _Draft, graph: KnowledgeGraph) -> bool:
    answer = gold_answer(graph, draft.answer)
    question = draft.question.casefold()
    return any(form.casefold() in question for form in (answer.text, *answer.aliases))


def _task(
    source: Source, draft: _Draft, level: int, split: Split, origin: Origin, number: int
) -> Task:
    return Task(
        id=f"{source.graph.name}-{split}-L{level}-{number:04d}",
        question=draft.question,
        answers=(gold_answer(source.graph, draft.answer),),
        query=draft.query,
        level=level,
        hops=len(draft.facts),
        split=split,
        start_urls=source.start_urls,
        evidence=_evidence(source, draft.facts, both_ends=level == 3),
        origin=origin,
    )


def _evidence(source: Source, facts: Sequence[Fact], both_ends: bool) -> tuple[str, ...]:
    """The pages that state the facts, in order: a fact stands on its subject's page. A web of
    constraints is also entered from the other end, by the lists on the objects' pages."""
    pages: dict[str, None] = {}
    for fact in facts:
        pages[source.url_of(fact.subject)] = None
        if both_ends and isinstance(fact.object, str):
            pages[source.url_of(fact.object)] = None
    return tuple(pages)
