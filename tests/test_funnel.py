"""Each stage and each reason of the funnel, with trajectories written by hand."""

from __future__ import annotations

import pytest

from scripted import count
from webfarer.cli.run_report import funnel_stages
from webfarer.curate.funnel import STAGES, funnel
from webfarer.evals import answer_in
from webfarer.tools import SearchTool, Toolbox, VisitTool
from webfarer.types import (
    Answer,
    BadInput,
    Call,
    Failure,
    FunnelSettings,
    Hit,
    Observation,
    Origin,
    Page,
    Task,
    Trajectory,
    Turn,
    Verdict,
)

HOME = "https://lore.example/wiki/"
ORLA, BRAM, ILMAR = HOME + "Orla_Venn", HOME + "Bram_Lys", HOME + "Ilmar"


def task(name="t", **changes) -> Task:
    origin = Origin(recipe="hand", seed=0, graph="0")
    given = {"question": "Who wrote it?", "answers": (Answer(text="Orla Venn"),)}
    return Task(**({"id": name, "origin": origin, "evidence": (ORLA,)} | given | changes))


def hits(*urls: str) -> str:
    return "\n".join(f"{n}. [Title]({url})\nA snippet." for n, url in enumerate(urls, 1))


def search(*queries: str, seen: str = hits(ORLA, BRAM), kind="ok", problem=None) -> Turn:
    call = Call(name="search", arguments={"query": list(queries or ("it",))})
    return Turn(text="-", call=call, observation=Observation.of(seen, kind), problem=problem)


def visit(*urls: str, seen: str = "It was written by Orla Venn, 1912.", goal="who", kind="ok"):
    call = Call(name="visit", arguments={"url": list(urls), "goal": goal})
    return Turn(text="-", call=call, observation=Observation.of(seen, kind))


def attempt(*turns: Turn, answer="Orla Venn", verdict="correct", name="t", **changes):
    given = {"stop": "answer", "policy": "expert", "system": "s", "question": "q"}
    graded = Verdict(status=verdict, reason="r", grader="g") if verdict else None
    return Trajectory(
        **(
            given
            | {"task_id": name, "answer": answer, "verdict": graded}
            | {"turns": (*turns, Turn(text="-", answer=answer))}
            | changes
        )
    )


GOOD = attempt(search(), visit(ORLA))


def dropped(trajectory, given=None, **settings) -> dict:
    found = funnel([trajectory], {"t": given or task()}, FunnelSettings(**settings))
    assert len(found.kept) + sum(map(sum, (c.values() for c in found.drops.values()))) == 1
    assert [one.id for one in found.unsolved] == ([] if found.kept else ["t"])
    return found.reasons()


def test_a_good_one_survives():
    assert dropped(GOOD) == {}


BROKEN = {"failure": Failure(kind="search", message="m"), "stop": "failure", "verdict": None}
UNREAD = Turn(text="?", problem="wrote nothing")
TWICE = attempt(search(), search(), visit(ORLA))


@pytest.mark.parametrize(
    ("trajectory", "stage", "reason"),
    [
        (attempt(search(), **BROKEN), "validity", "our failure: search"),
        (attempt(search(), stop="turn_limit"), "validity", "no answer: turn_limit"),
        (attempt(search(), stop="token_limit"), "validity", "no answer: token_limit"),
        (attempt(UNREAD, stop="malformed"), "validity", "no answer: malformed"),
        (
            attempt(search(kind="bad_arguments", problem="no"), visit(ORLA)),
            "validity",
            "a turn that does not parse, or a call that no tool accepts",
        ),
        (attempt(), "validity", "no tool call at all"),
        (attempt(search(), visit(ORLA), verdict="wrong"), "correctness", "answer wrong"),
        (attempt(search(), visit(ORLA), verdict="unjudged"), "correctness", "answer unjudged"),
        (attempt(search(), visit(ORLA), verdict=None), "correctness", "not graded"),
        (TWICE, "quality", "the same call twice"),
        (attempt(visit(ORLA)), "quality", "visits an address that no observation showed"),
        (
            attempt(search(), visit(BRAM), visit(ORLA)),
            "quality",
            "visits a page that is no evidence",
        ),
        (
            attempt(search("a"), search("b"), visit(ORLA)),
            "quality",
            "searches more often than there is evidence to find",
        ),
        (
            attempt(search(), visit(ORLA, seen="Nothing here.")),
            "quality",
            "the answer stands in no observation",
        ),
    ],
)
def test_each_reason_at_its_stage(trajectory, stage, reason):
    assert dropped(trajectory) == {stage: {reason: 1}}


def test_impossible_3_a_failure_or_unjudged_is_never_dropped_as_a_wrong_answer():
    """A broken search and a broken judge are told apart from an answer that is wrong."""
    trajectories = [
        attempt(search(), answer=None, **BROKEN),
        attempt(search(), visit(ORLA), verdict="unjudged"),
        attempt(search(), visit(ORLA), verdict="wrong"),
    ]
    found = funnel(trajectories, {"t": task()}, FunnelSettings())
    assert found.reasons() == {
        "validity": {"our failure: search": 1},
        "correctness": {"answer unjudged": 1, "answer wrong": 1},
    }


def test_impossible_5_a_right_answer_without_a_tool_call_is_no_agents_and_is_dropped():
    assert dropped(attempt()) == {"validity": {"no tool call at all": 1}}


def test_validity_comes_before_correctness_and_that_before_quality():
    """Bad in every way, it is dropped at the first; mended there, at the second; and so on."""
    calls = (search(), search(), visit(BRAM, BRAM + "x", seen=""))
    wrong = attempt(*calls, verdict="wrong")
    assert list(dropped(wrong.model_copy(update={"stop": "turn_limit"}))) == ["validity"]
    assert list(dropped(wrong)) == ["correctness"]
    assert list(dropped(attempt(*calls))) == ["quality"]


@pytest.mark.parametrize(
    ("shown", "url", "survives"),
    [
        (hits(ORLA), ORLA, True),
        (hits(ORLA), f" {ORLA} ", True),
        (hits(ORLA + "_II"), ORLA, False),  # the beginning of an address is another address
        (hits("https://other.example/x?u=" + ORLA), ORLA, False),
        (f"See <{ORLA}>.", ORLA, True),
        (f"See {ORLA}.", ORLA, True),
        (f"See {ORLA}, or not", ORLA, True),
        (hits(HOME + "Venn_(writer)"), HOME + "Venn_(writer)", True),
        (hits(HOME + "Venn_(writer)"), HOME + "Venn_", False),
        (f"There is a page at {ORLA}", ORLA, True),
    ],
)
def test_an_address_must_have_been_shown_whole(shown, url, survives):
    given = task(evidence=())
    reasons = dropped(attempt(search(seen=shown), visit(url)), given)
    assert reasons == (
        {} if survives else {"quality": {"visits an address that no observation showed": 1}}
    )


def test_what_is_not_there_is_not_shown_and_an_echo_proves_nothing():
    echo = search(seen=f"No results for {ORLA}.", kind="empty")
    assert dropped(attempt(echo, visit(ORLA))) != {}
    guess = search("Orla Venn", seen="No results for Orla Venn.", kind="empty")
    other = visit(ORLA, seen="Nothing here.")
    found = search("it", seen=hits(ORLA))
    assert dropped(attempt(guess, found, other), detours=1) == {
        "quality": {"the answer stands in no observation": 1}
    }


class Thin:
    """A web of one page, which any first query finds and which says little."""

    name = "thin"

    async def search(self, queries, k):
        return [[Hit(ILMAR, "Ilmar", "A town.")], *([] for _ in queries[1:])]

    async def visit(self, url):
        there = url == ILMAR
        return Page(url, "Ilmar", "A town.") if there else Page(url, "", "", status="not_found")


async def test_what_the_policy_itself_wrote_was_not_read():
    """The words of one query, and an address, beside others that did find something."""
    tools = Toolbox([SearchTool(Thin()), VisitTool(Thin())])

    async def seen(turn: Turn) -> Turn:
        return turn.model_copy(update={"observation": await tools.run(turn.call)})

    given = task(evidence=())
    guess = await seen(search("Ilmar", "Orla Venn"))
    assert guess.observation.kind == "ok"
    assert dropped(attempt(guess), given) == {"quality": {"the answer stands in no observation": 1}}
    assert not answer_in(given, guess.observation.text)
    two = await seen(visit(ILMAR, ORLA))
    assert two.observation.kind == "ok"
    assert not answer_in(given, two.observation.text)
    for earlier in (two, await seen(search("Ilmar", ORLA))):
        turns = (await seen(search("Ilmar")), earlier, visit(ORLA))
        assert dropped(attempt(*turns), given) == {
            "quality": {"visits an address that no observation showed": 1}
        }


def test_question_and_start_may_give_addresses():
    assert dropped(attempt(visit(ORLA)), task(question=f"Who wrote {ORLA}?")) == {}
    assert dropped(attempt(visit(ORLA)), task(start_urls=(ORLA,))) == {}


@pytest.mark.parametrize(
    ("answer", "seen", "survives"),
    [
        ("Orla Venn", "ORLA VENN wrote it", True),
        ("Ann", "Annika wrote it", False),
        ("3", "in 1934", False),
        ("3", "It has 3 towers", True),
        ("$3", "for $3.", True),
        ("C++", "in C++, mostly", True),
        ("東京", "彼は東京に住む", True),
        ("4 March 1912", "born on 14 March 1912", False),
        ("Łódź", "in Łódź.", True),
    ],
)
def test_the_answer_must_stand_in_an_observation_as_whole_words(answer, seen, survives):
    trajectory = attempt(search(), visit(ORLA, seen=seen), answer=answer)
    assert (dropped(trajectory) == {}) is survives


def test_detours_are_allowed_by_number_and_where_no_evidence_is_named():
    once = attempt(search(), visit(BRAM), visit(ORLA))
    assert dropped(once, detours=1) == {}
    assert dropped(once, task(evidence=())) == {}
    twice = attempt(search(seen=hits(ORLA, BRAM, ILMAR)), visit(BRAM, ILMAR), visit(ORLA))
    assert dropped(twice, detours=1) == {"quality": {"visits a page that is no evidence": 1}}


def test_one_address_may_stand_in_place_of_an_array_and_is_the_same_call_only_if_written_so():
    alone = Turn(
        text="-", call=Call(name="visit", arguments={"goal": "who", "url": ORLA}),
        observation=Observation.of("Orla Venn"),
    )  # fmt: skip
    assert dropped(attempt(search(), alone)) == {}
    again = alone.model_copy(
        update={"call": Call(name="visit", arguments={"url": ORLA, "goal": "who"})}
    )
    assert dropped(attempt(search(), alone, again)) == {"quality": {"the same call twice": 1}}


def test_the_shortest_survivors_of_a_task_are_kept_and_the_rest_are_surplus():
    long = attempt(search(), visit(ORLA, goal="a"), visit(ORLA, goal="b"), member=0)
    short, equal = (
        attempt(search(), visit(ORLA), member=1),
        attempt(search(), visit(ORLA), member=2),
    )
    for wanted, kept in ((1, [1]), (2, [1, 2]), (5, [1, 2, 0])):
        found = funnel([long, short, equal], {"t": task()}, FunnelSettings(per_task=wanted))
        assert [one.member for one in found.kept] == kept
        assert found.drops.get("surplus", {}).get("more than wanted of a task", 0) == 3 - len(kept)


def test_counts_add_up_and_unsolved_tasks_are_left_for_reinforcement():
    tasks = {name: task(name) for name in ("a", "b", "c", "d")}
    trajectories = [
        attempt(search(), visit(ORLA), name="a"),
        attempt(search(), visit(ORLA), name="a", member=1),
        attempt(search(), visit(ORLA), name="b", verdict="wrong"),
        attempt(name="b", member=1),
        attempt(search(), search(), visit(ORLA), name="c"),
    ]
    found = funnel(iter(trajectories), tasks, FunnelSettings())
    assert found.counts() == {
        "entered": 5,
        "after": {"validity": 4, "correctness": 3, "quality": 2, "surplus": 1},
        "kept": 1,
        "reasons": {
            "validity": {"no tool call at all": 1},
            "correctness": {"answer wrong": 1},
            "quality": {"the same call twice": 1},
            "surplus": {"more than wanted of a task": 1},
        },
        "tasks_without_survivor": 3,
    }
    assert [one.id for one in found.unsolved] == ["b", "c", "d"]
    stages = funnel_stages(found.counts(), 0, 1)  # the report's records check the sums again
    assert tuple(stage.stage for stage in stages) == (*STAGES, "length")
    assert (stages[0].entered, stages[-1].kept) == (5, 1)


def test_survivors_come_in_the_order_of_the_tasks():
    tasks = {name: task(name) for name in ("b", "a")}
    given = [attempt(search(), visit(ORLA), name=name) for name in ("a", "b")]
    assert [one.task_id for one in funnel(given, tasks, FunnelSettings()).kept] == ["b", "a"]


def test_a_trajectory_of_no_given_task_is_bad_input():
    with pytest.raises(BadInput, match="x/expert/0 is of no task that is given"):
        funnel([attempt(search(), name="x")], {"t": task()}, FunnelSettings())


async def test_each_fault_of_the_expert_is_caught_or_harms_nothing(lore, lore_tasks):
    """Of the expert's own faults, none that makes a trajectory bad survives."""
    from webfarer.grade.rules import RuleGrader
    from webfarer.policy.expert import FAULTS, Expert
    from webfarer.rollout.collect import Arena, Job
    from webfarer.types import ToolSettings

    toolbox = lore.toolbox(ToolSettings(), count)
    policy = Expert({"lore": lore.atlas}, fault_rate=1.0)
    place = Arena({"lore": toolbox}, RuleGrader(), "s", 10, count, 1)
    made = [
        (await place.attempt(policy, Job(task, member))).trajectory
        for task in lore_tasks.values()
        for member in range(6)
    ]
    assert {fault for one in made for fault in one.faults} == set(FAULTS)
    found = funnel(made, lore_tasks, FunnelSettings(per_task=100))
    assert [one for one in found.kept if one.faults] == []
