"""The scripted expert: what it solves, what its faults leave behind, and that it answers only what
it has read."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from webfarer.cli.agents import arena
from webfarer.curate.funnel import funnel
from webfarer.graph.files import load
from webfarer.graph.graph import KnowledgeGraph
from webfarer.graph.worlds.world import build_world
from webfarer.policy.base import Attempt
from webfarer.policy.expert import FAULTS, GAVE_UP, Atlas, Expert
from webfarer.policy.speech import ENGLISH
from webfarer.rollout.collect import Job
from webfarer.rollout.world import World, by_name
from webfarer.synth.tasks import Source, make_tasks
from webfarer.tools.reader import count_words
from webfarer.types import (
    BadInput,
    Count,
    FunnelSettings,
    RolloutSettings,
    Term,
    ToolSettings,
    Triple,
)

WIKIDATA = Path(__file__).parents[1].parent / "shared" / "data" / "wikidata"


class Place:
    """A world with its tasks, and the arena over it or over another graph of the same name."""

    def __init__(self, graph: KnowledgeGraph, levels, seed=1):
        self.world = World(graph)
        source = Source(graph, self.world.web.url_of)
        self.tasks = make_tasks(source, seed=1, split="train", per_level=levels, recipe="test")
        self.by_id = {task.id: task for task in self.tasks}
        self.arena = self.arena_over(graph, seed)

    def arena_over(self, graph, seed=1):
        worlds = by_name([graph])
        return arena(worlds, count_words, ToolSettings(), RolloutSettings(), seed)

    def expert(self, rate=0.0):
        return Expert({self.world.graph.name: self.world.atlas}, rate)

    def attempts(self, jobs, rate=0.0, where=None):
        async def go():
            return await asyncio.gather(
                *((where or self.arena).attempt(self.expert(rate), job) for job in jobs)
            )

        return [rolled.trajectory for rolled in asyncio.run(go())]

    def solved(self, trajectories, level):
        mine = [t for t in trajectories if self.by_id[t.task_id].level == level]
        return sum(t.verdict.status == "correct" for t in mine) / len(mine)


PLACE = Place(build_world(21, 300), {1: 60, 2: 60, 3: 60})
CLEAN = PLACE.attempts([Job(task) for task in PLACE.tasks])


def told(trajectory):
    """A trajectory without how long it took."""
    return [(turn.text, turn.observation) for turn in trajectory.turns]


def test_what_it_solves_without_faults():
    """Measured with this seed: all of levels 1 and 2; over other worlds level 3 was 92% to 95%."""
    assert PLACE.solved(CLEAN, 1) >= 0.97
    assert PLACE.solved(CLEAN, 2) >= 0.97
    assert PLACE.solved(CLEAN, 3) >= 0.9
    assert all(not trajectory.faults for trajectory in CLEAN)


def test_what_it_solves_survives_the_funnel():
    result = funnel(CLEAN, PLACE.by_id, FunnelSettings())
    assert len(result.kept) >= 0.95 * len(CLEAN)
    for trajectory in result.kept:
        assert trajectory.reward is not None
        assert trajectory.reward.total == pytest.approx(1.0)


def test_it_never_answers_wrong_it_gives_up():
    for trajectory in CLEAN:
        if trajectory.verdict.status != "correct" and trajectory.stop == "answer":
            assert trajectory.answer == GAVE_UP


def test_all_that_it_says_was_read_before():
    """The answer, and each thing it visits, stands in an observation before."""
    for trajectory in CLEAN:
        seen = ""
        for turn in trajectory.turns:
            if turn.call and turn.call.name == "visit":
                assert turn.call.arguments["url"][0] in seen
            if turn.answer and turn.answer != GAVE_UP:
                assert turn.answer in seen
            seen += turn.observation.text if turn.observation else ""


@pytest.fixture(scope="module")
def faulty():
    return PLACE.attempts([Job(task, member=1) for task in PLACE.tasks], rate=1.0)


# What the funnel says of a trajectory with the fault; an answer before its time is wrong.
MARKS = {
    "wrong_query": {"visits a page that is no evidence"},
    "redundant_visit": {"visits a page that is no evidence"},
    "repeated_action": {"the same call twice"},
    "unknown_tool": {"a turn that does not parse, or a call that no tool accepts"},
    "early_answer": {"answer wrong"},
    "wrong_answer": {"answer wrong"},
    "invented_url": {"visits an address that no observation showed"},
}
# An attempt that went wrong for another reason as well may be dropped for that first.
ANYWAY = {"answer wrong", "no answer: turn_limit", "visits a page that is no evidence"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("level", [1, 2, 3])
def test_each_fault_is_committed_and_found(faulty, fault, level):
    mine = [t for t in faulty if t.faults == (fault,) and PLACE.by_id[t.task_id].level == level]
    assert mine, f"no attempt at level {level} has the fault"
    reasons = Counter()
    for trajectory in mine:
        result = funnel([trajectory], PLACE.by_id, FunnelSettings())
        assert not result.kept
        ((_, found),) = result.drops.items()
        reasons += found
    allowed = MARKS[fault] | (ANYWAY if level == 3 else set())
    assert set(reasons) <= allowed
    assert set(reasons) & MARKS[fault]


def test_faults_come_at_the_rate_asked_for(faulty):
    assert sum(bool(t.faults) for t in faulty) >= 0.95 * len(faulty)
    some = PLACE.attempts([Job(task, member=2) for task in PLACE.tasks], rate=0.3)
    # 180 attempts at 0.3: 54 expected, standard deviation 6.1
    assert 30 <= sum(bool(t.faults) for t in some) <= 78


def test_an_attempt_depends_on_its_seed_alone():
    jobs = [Job(task, member=1) for task in PLACE.tasks[::6]]
    forward = PLACE.attempts(jobs, rate=1.0)
    backward = PLACE.attempts(jobs[::-1], rate=1.0)[::-1]
    one_by_one = [PLACE.attempts([job], rate=1.0)[0] for job in jobs]
    assert [told(t) for t in forward] == [told(t) for t in backward]
    assert [told(t) for t in forward] == [told(t) for t in one_by_one]
    others = PLACE.attempts([Job(job.task, member=3) for job in jobs], rate=1.0)
    assert [t.faults for t in others] != [t.faults for t in forward]


@pytest.mark.parametrize("level", [1, 2])
def test_where_the_web_hides_a_fact_it_gives_up(level):
    """The expert knows the fact; its web does not say it; so it may not answer. (Another fact of
    the same object may stand on the page: the mayor may live there; then it cannot tell.)"""
    graph = PLACE.world.graph
    tasks = [task for task in PLACE.tasks if task.level == level][:7]
    answered = 0
    for task in tasks:
        gone = task.query.where[-1].relation
        bare = graph.restricted(graph.name, lambda fact, gone=gone: fact.relation != gone)
        (trajectory,) = PLACE.attempts([Job(task)], where=PLACE.arena_over(bare))
        if trajectory.answer != GAVE_UP:
            answered += 1
            *_, last = (turn for turn in trajectory.turns if turn.observation)
            assert task.answers[0].text in last.observation.text
    assert answered <= 1


def test_level_3_answers_only_where_each_constraint_is_read():
    """Each constraint of some solved webs is hidden in turn; what is left still leads to the
    target, but no longer proves it. (Chance: the page may say the same of another relation.)"""
    graph = PLACE.world.graph
    solved = [
        task
        for trajectory in CLEAN
        if (task := PLACE.by_id[trajectory.task_id]).level == 3
        and trajectory.verdict.status == "correct"
        and task.query.select == "x"
    ]
    # Those with the most triples: they name neighbours of neighbours, each on a page of its own.
    solved.sort(key=lambda task: -sum(isinstance(c, Triple) for c in task.query.where))
    ends = []
    for task in solved[:4]:
        for relation in {c.relation: 0 for c in task.query.where if isinstance(c, Triple)}:
            bare = graph.restricted(graph.name, lambda fact, gone=relation: fact.relation != gone)
            (again,) = PLACE.attempts([Job(task)], where=PLACE.arena_over(bare))
            ends.append(again.answer in (GAVE_UP, None))
    assert len(ends) >= 10
    assert ends.count(False) <= 1


def test_numbers_are_read_whole():
    page = "Population: 1,204; length: 4.5 km; Maré. (Orla Venn)"
    wanted, parts = ("1,204", "4.5 km", "Maré", "Orla Venn"), ("204", "1", "4", "5 km", "Mar")
    assert all(ENGLISH.stands(text, page, ()) for text in wanted)
    assert not any(ENGLISH.stands(text, page, ()) for text in (*parts, "rla Venn"))


def start(task, atlases=None, **changes):
    expert = Expert(PLACE.expert()._atlases if atlases is None else atlases)
    return expert.start(Attempt(task.model_copy(update=changes), "", 0, False, 1))


def test_a_task_that_it_cannot_plan_is_bad_input():
    task = PLACE.tasks[0]
    with pytest.raises(BadInput, match="needs the task's query and its world"):
        start(task, query=None)
    with pytest.raises(BadInput, match="needs the task's query and its world"):
        start(task, atlases={})
    bare = PLACE.world.graph.restricted("bare", lambda fact: False)
    other = Atlas(bare, lambda entity: entity)
    with pytest.raises(BadInput, match="has no answer in"):
        start(task, atlases={PLACE.world.graph.name: other})
    somewhere = Triple(subject=Term(var="who"), relation="born_in", object=Term(id="city-1"))
    query = task.query.model_copy(update={"select": "who", "where": (somewhere,)})
    with pytest.raises(BadInput, match="is no chain"):
        start(task, query=query)
    assert start(task, query=task.query.model_copy(update={"then": None}))
    with pytest.raises(BadInput, match="counts"):
        start(task, query=task.query.model_copy(update={"then": Count()}))


def test_wikidata():
    """Measured with this seed: every task of levels 1 and 2, 86% of level 3. Those left stand on
    lists of a hundred names and more, or take more than ten turns."""
    if not WIKIDATA.is_dir():
        pytest.skip("the Wikidata excerpt is not here")
    place = Place(load(WIKIDATA), {1: 30, 2: 30, 3: 30})
    trajectories = place.attempts([Job(task) for task in place.tasks])
    assert place.solved(trajectories, 1) >= 0.97
    assert place.solved(trajectories, 2) >= 0.97
    assert place.solved(trajectories, 3) >= 0.7
