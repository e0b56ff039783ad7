"""Tasks from a graph, at three levels, each proven to have exactly one answer.

Level 1 is one look-up, level 2 a chain of two or three, level 3 a web of constraints. A task is
kept only if its query, executed over its graph, gives one answer, that answer is not in the
question, and is graded correct itself; and if all on the way to it has a name in the graph's
language, where English names are not to stand in. No two tasks of a level have one query, and no
answer is that of more than a few of them. No name on the way to the answer holds a control tag: no
turn that said it could be written.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from webfarer.grade.gold import gold_answer
from webfarer.grade.rules import check_gold
from webfarer.graph.graph import Fact, KnowledgeGraph, Node
from webfarer.graph.hanzi import simplified, stands_alone
from webfarer.graph.query import execute
from webfarer.graph.text import node_text
from webfarer.policy.tags import TAGS
from webfarer.synth.constraints import Puzzler
from webfarer.synth.walk import Walker, chain_query
from webfarer.synth.wording import Wording, wording_of
from webfarer.types import BadInput, Origin, Query, Split, Task, random_for

LEVELS = (1, 2, 3)
_SAME_ANSWER = 20  # of this many tasks, one may have an answer that another has, over the first 3
_SHORT = 3  # letters: an answer of no more than these may stand inside other words
# A graph counts as exhausted after so many draws for each task wanted, or once so many in a row
# (for each of its facts, and on a small graph the least) gave no task.
_DRAWS_A_TASK = 60
_MISSES_A_FACT, _LEAST_MISSES = 4, 400

_TAG = re.compile("|".join(map(re.escape, TAGS)), re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A graph to ask about. `keep` says which facts questions may rest on (all of them, or those
    of a split); `url_of` gives an entity's page. What has no name in the graph's language is left
    out, unless its English one is to stand in (`english_names`)."""

    graph: KnowledgeGraph
    url_of: Callable[[str], str]
    start_urls: tuple[str, ...] = ()
    keep: Callable[[Fact], bool] = lambda fact: True
    english_names: bool = False


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
    more. The same graph, seed and settings give the same tasks. Raises BadInput for a level that
    is not one of `LEVELS`."""
    tasks: list[Task] = []
    for level, wanted in sorted(per_level.items()):
        if level not in LEVELS:
            raise BadInput(f"there are no tasks of level {level}: the levels are 1, 2 and 3")
        origin = Origin(
            recipe=recipe, seed=seed, graph=source.graph.sha256, world=source.graph.name
        )
        drafts = _accepted(source, _drafts(source, seed, level, wanted), wanted)
        for number, draft in enumerate(islice(drafts, wanted)):
            tasks.append(_task(source, draft, level, split, origin, number))
    return tasks


def _drafts(source: Source, seed: int, level: int, wanted: int) -> Iterator[_Draft | None]:
    """What each draw gave; None where it ran into nothing to ask."""
    rng = random_for(seed, "tasks", source.graph.name, level)
    wording, keep = wording_of(source.graph), source.keep
    if not source.english_names:
        source = replace(source, keep=lambda fact: keep(fact) and _sayable(fact, wording))
    make = _puzzles if level == 3 else _chains
    yield from make(source, wording, rng, level, wanted * _DRAWS_A_TASK)


def _sayable(fact: Fact, wording: Wording) -> bool:
    """Whether both ends of a fact have a name in the language of the questions."""
    ends = (node for node in (fact.subject, fact.object) if isinstance(node, str))
    return all(wording.sayable(end) for end in ends)


def _chains(
    source: Source, wording: Wording, rng: random.Random, level: int, draws: int
) -> Iterator[_Draft | None]:
    walker = Walker(source.graph, rng)
    for _ in range(draws):
        hops = 1 if level == 1 else rng.choice((2, 2, 3))
        chain = walker.walk(hops)
        if chain is None or not _askable(source, wording, chain):
            yield None
        else:
            question = wording.chain(chain, rng)
            yield _Draft(question, chain_query(chain), chain[-1].object, chain)


def _askable(source: Source, wording: Wording, chain: Sequence[Fact]) -> bool:
    kept = all(source.keep(fact) for fact in chain)
    return kept and not wording.ambiguous(chain[0].subject) and wording.readable(chain)


def _puzzles(
    source: Source, wording: Wording, rng: random.Random, level: int, draws: int
) -> Iterator[_Draft | None]:
    puzzler = Puzzler(source.graph, wording, rng, source.keep)
    for _ in range(draws):
        made = puzzler.puzzle()
        yield made and _Draft(made.question, made.query, made.answer, made.facts)


def _accepted(source: Source, drafts: Iterator[_Draft | None], wanted: int) -> Iterator[_Draft]:
    """The proven drafts, no query twice, without those whose answer is already that of many
    others; until the graph counts as exhausted."""
    most = max(3, wanted // _SAME_ANSWER)
    patience = max(_LEAST_MISSES, _MISSES_A_FACT * len(source.graph.facts))
    asked: set[str] = set()
    times: Counter[Node] = Counter()
    misses = 0
    for draft in drafts:
        if draft and _proven(source, draft, asked) and times[draft.answer] < most:
            times[draft.answer] += 1
            misses = 0
            yield draft
        elif (misses := misses + 1) == patience:
            return


def _proven(source: Source, draft: _Draft, asked: set[str]) -> bool:
    """Whether it has one answer, which grades correct and which the question does not give away,
    and was not `asked` before; it is from now on."""
    keys = {draft.question, _key(draft.query)}
    if keys & asked or _gives_away(draft, source.graph) or _holds_tag(draft, source.graph):
        return False
    if execute(draft.query, source.graph) != [draft.answer] or not _gradable(source, draft):
        return False
    asked |= keys
    return True


def _holds_tag(draft: _Draft, graph: KnowledgeGraph) -> bool:
    """Whether a control tag stands in the question, a form of the answer, or what anything on the
    way to it is called."""
    answer = gold_answer(graph, draft.answer)
    texts = [draft.question, answer.text, *answer.aliases]
    for fact in draft.facts:
        texts.append(graph.relation_label(fact.relation))
        for node in (fact.subject, fact.object):
            texts.append(node_text(graph, node))
            if isinstance(node, str):
                texts += (graph.type_label(kind) for kind in graph.entities[node].types)
    return any(_TAG.search(text) for text in texts)


def _key(query: Query) -> str:
    """The query without the order of its clauses, which says nothing."""
    return "\n".join([query.select, *sorted(clause.model_dump_json() for clause in query.where)])


def _gives_away(draft: _Draft, graph: KnowledgeGraph) -> bool:
    """Whether a form of the answer stands in the question; a short one has to stand as a word.

    Where the graph is read in Chinese, which marks no words, a Chinese form stands wherever its
    characters do, in simplified or traditional writing.
    """
    answer = gold_answer(graph, draft.answer)
    forms = (answer.text, *answer.aliases)
    if graph.language == "zh":
        question = simplified(draft.question).casefold()
        return any(re.search(stands_alone(simplified(f).casefold()), question) for f in forms)
    question = draft.question.casefold()
    for form in (form.casefold() for form in forms):
        if len(form) > _SHORT and form in question:
            return True
        if re.search(rf"(?<![\w.,]){re.escape(form)}(?![\w]|[.,]\w)", question):
            return True
    return False


def _gradable(source: Source, draft: _Draft) -> bool:
    """Whether the grader holds the answer, and each of its other names, correct; a name such as
    "this or that" reads like a guess."""
    answers = (gold_answer(source.graph, draft.answer),)
    origin = Origin(recipe="", seed=0, graph="")
    try:
        check_gold(Task(id="", question=draft.question, answers=answers, origin=origin))
    except BadInput:
        return False
    return True


def _task(
    source: Source, draft: _Draft, level: int, split: Split, origin: Origin, number: int
) -> Task:
    return Task(
        id=f"{source.graph.name}-{split}-L{level}-{number:04d}",
        question=draft.question,
        answers=(gold_answer(source.graph, draft.answer),),
        query=draft.query,
        language=source.graph.language,
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
