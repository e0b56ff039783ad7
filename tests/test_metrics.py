import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webfarer.evals import answer_in, behaviour, compare, majority, pass_at_k, score
from webfarer.grade import format_ok
from webfarer.types import (
    Answer,
    BadInput,
    Call,
    Failure,
    Observation,
    Origin,
    Task,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)

ORIGIN = Origin(recipe="hand", seed=0, graph="0" * 64)


def task(name, level=1, hops=1, answers=("Orla Venn",), aliases=()):
    return Task(
        id=name, question="Who?", level=level, hops=hops, split="test", origin=ORIGIN,
        answers=tuple(Answer(text=text, aliases=aliases) for text in answers),
    )  # fmt: skip


def attempt(name, what, member=0, *, greedy=False, answer="", policy="p", turns=(), stop="answer"):
    """c, w, u or f: correct, wrong, unjudged, failed on our side."""
    status = {"c": "correct", "w": "wrong", "u": "unjudged"}.get(what)
    return Trajectory(
        task_id=name, member=member, greedy=greedy, policy=policy, system="", question="Who?",
        answer=answer or {"c": "Orla Venn", "w": "Bram Lys", "u": "someone"}.get(what),
        turns=turns, stop="failure" if what == "f" else stop,
        failure=Failure(kind="search", message="index gone") if what == "f" else None,
        verdict=Verdict(status=status, reason="r", grader="g") if status else None,
    )  # fmt: skip


def samples(name, marks, **more):
    return [attempt(name, mark, member, **more) for member, mark in enumerate(marks)]


def same(a, b, kind):
    return a.casefold() == b.casefold()


def scored(attempts, tasks, k=2):
    return score("p", attempts, {each.id: each for each in tasks}, k, same)


# pass@k


@pytest.mark.parametrize("n", range(1, 9))
def test_pass_at_k_equals_enumeration_of_all_subsets(n):
    for c in range(n + 1):
        marks = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            subsets = list(combinations(marks, k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_edges():
    assert pass_at_k(3, 3, 4) is None
    assert pass_at_k(0, 0, 1) is None
    assert pass_at_k(100_000, 1, 100) == pytest.approx(0.001)  # k / n, and nothing overflows
    for bad in ((3, 4, 1), (3, -1, 1), (3, 1, 0)):
        with pytest.raises(BadInput):
            pass_at_k(*bad)


@given(st.integers(1, 60), st.data())
def test_pass_at_k_is_a_share_that_grows_with_k_and_starts_at_the_mean(n, data):
    c = data.draw(st.integers(0, n))
    values = [pass_at_k(n, c, k) for k in range(1, n + 1)]
    assert values[0] == pytest.approx(c / n)
    assert all(0 <= a <= b + 1e-12 <= 1 + 1e-9 for a, b in pairwise(values))


# cons@k


def test_majority_wins_ties_lose_and_silence_has_no_vote():
    def won(answers, correct):
        return majority(answers, correct, lambda a, b: a.casefold() == b.casefold())

    assert won(["A", "a", "B"], [True, True, False])
    assert not won(["A", "B", "B"], [True, False, False])
    assert not won(["A", "B"], [True, False])  # a tie
    assert won([None, None, None, "A"], [False, False, False, True])
    assert not won([None, None], [False, False])
    assert not won([], [])
    assert won(["A", "B", "C", "a"], [True, False, False, True])


def test_cons_at_k_votes_among_the_first_k_by_member_whatever_the_order_given():
    attempts = samples("t", "wccw")  # of the first three, two are correct
    assert scored(reversed(attempts), [task("t")], k=3).cons_at_k == 1.0
    assert scored(attempts, [task("t")], k=4).cons_at_k == 0.0  # two against two


def test_cons_at_k_is_given_the_kind_of_the_answer():
    kinds = []
    one = task("t").model_copy(update={"answers": (Answer(text="1912", kind="date"),)})
    score("p", samples("t", "cc"), {"t": one}, 2, lambda a, b, kind: not kinds.append(kind))
    assert set(kinds) == {"date"}


# scores


def test_scores_by_hand():
    # a: 2 of 2, b: 1 of 2, c: 0 of 2; greedy right on a and c.
    attempts = samples("a", "cc") + samples("b", "cw") + samples("c", "ww")
    attempts += [attempt(name, mark, greedy=True) for name, mark in zip("abc", "cwc", strict=True)]
    found = scored(attempts, [task("a"), task("b", 2, 2), task("c", 2, 3)])
    assert found.n == found.n_greedy == found.n_sampled == found.n_k == 3
    assert found.greedy == pytest.approx(2 / 3, abs=1e-6)
    assert found.pass_at_1 == 0.5
    assert found.pass_at_k == pytest.approx(2 / 3, abs=1e-6)
    assert found.cons_at_k == pytest.approx(1 / 3, abs=1e-6)  # b is a tie
    assert found.consistency == 0.75  # 3 of the 4 samples on a and b
    assert found.by_level["1"].pass_at_1 == 1.0
    assert found.by_level["2"].pass_at_1 == 0.25
    assert found.by_level["2"].n == 2
    assert list(found.by_hops) == ["1", "2", "3"]
    assert found.by_hops["3"].greedy == 1.0
    assert found.by_hops["3"].consistency is None
    assert found.interval is not None
    assert found.interval[0] <= 0.5 <= found.interval[1]


def test_failure_and_unjudged_are_never_reward_0_but_left_out_and_counted_beside():
    attempts = samples("a", "cf") + samples("b", "uw") + samples("c", "ff")
    attempts += [attempt("a", "f", greedy=True), attempt("b", "c", greedy=True)]
    found = scored(attempts, [task("a"), task("b"), task("c")], k=1)
    assert (found.failures, found.unjudged, found.attempts) == (4, 1, 8)
    assert found.failure_kinds == {"search": 4}
    assert (found.no_valid_greedy, found.no_valid_sample) == (1, 1)
    assert found.greedy == 1.0  # b alone
    assert found.pass_at_1 == 0.5  # a: 1 of 1, b: 0 of 1, c: none
    assert found.n == 3
    assert found.n_sampled == 2
    wrong = found.as_wrong
    assert wrong.greedy == 0.5
    assert wrong.n_greedy == 2  # c was never attempted greedily
    assert wrong.pass_at_1 == pytest.approx(0.5 / 3, abs=1e-6)  # 1 of 2, 0 of 2, 0 of 2
    assert wrong.by_level["1"].pass_at_1 == wrong.pass_at_1


def test_fewer_samples_than_k_give_no_pass_at_k():
    found = scored(samples("a", "cc") + samples("b", "cf"), [task("a"), task("b")], k=3)
    assert found.pass_at_k is None
    assert found.cons_at_k is None
    assert found.pass_at_k_interval is None
    found = scored(samples("a", "cc") + samples("b", "wf"), [task("a"), task("b")], k=2)
    assert (found.pass_at_k, found.n_k) == (1.0, 1)  # b has one valid sample
    assert (found.as_wrong.pass_at_k, found.as_wrong.n_k) == (0.5, 2)


def test_greedy_alone_gives_no_sampled_scores():
    found = scored([attempt("a", "c", greedy=True)], [task("a")])
    assert found.greedy == 1.0
    assert found.greedy_interval == (1.0, 1.0)
    assert found.pass_at_1 is found.interval is found.consistency is None
    assert found.no_valid_sample == 0  # none was asked for


def test_all_failed_is_no_score_rather_than_zero():
    found = scored(samples("a", "ff"), [task("a")])
    assert found.pass_at_1 is None
    assert found.as_wrong.pass_at_1 == 0.0


def test_the_order_of_attempts_and_tasks_does_not_matter():
    tasks = [task(f"t{at}", at % 3, at % 2) for at in range(20)]
    attempts = []
    for each in tasks:
        attempts += samples(each.id, random.Random(each.id).choices("cwuf", k=3))
    shuffled = random.Random(0).sample(attempts, len(attempts))
    assert (
        scored(attempts, tasks).model_dump_json() == scored(shuffled, tasks[::-1]).model_dump_json()
    )


@pytest.mark.parametrize(
    ("attempts", "tasks", "says"),
    [
        ([], [], "no tasks"),
        ([], [task("a")], "have no attempt"),
        (samples("a", "c"), [task("a"), task("b")], "1 of 2 tasks have no attempt, b"),
        (samples("z", "c"), [task("a")], "not in the set"),
        (samples("a", "c") * 2, [task("a")], "there twice"),
        (samples("a", "c") + samples("a", "c", policy="q"), [task("a")], "several policies"),
        ([attempt("a", "?")], [task("a")], "no verdict"),
    ],
)
def test_what_makes_no_true_score_is_refused(attempts, tasks, says):
    with pytest.raises(BadInput, match=says):
        scored(attempts, tasks)


def test_k_below_one_is_refused():
    with pytest.raises(BadInput, match="k >= 1"):
        scored(samples("a", "c"), [task("a")], k=0)


# differences


def test_paired_difference_by_hand():
    tasks = {name: task(name) for name in "abcd"}
    base = [attempt(n, m, greedy=True, policy="base") for n, m in zip("abcd", "wwcf", strict=True)]
    sft = [attempt(n, m, greedy=True, policy="sft") for n, m in zip("abcd", "ccwc", strict=True)]
    found = compare(("base", base), ("sft", sft), tasks)
    assert found.pass_at_1 is None
    assert found.greedy is not None
    assert (found.greedy.n, found.greedy.better, found.greedy.worse) == (3, 2, 1)
    assert found.greedy.value == pytest.approx(1 / 3, abs=1e-6)  # (1 + 1 - 1) / 3
    assert found.as_wrong.greedy is not None
    assert found.as_wrong.greedy.value == 0.5  # d: failed against correct
    assert found.as_wrong.greedy.n == 4


# behaviour


def turn(call=None, said=None, kind="ok", **more):
    return Turn(
        text="", call=Call(name=call, arguments={}) if call else None,
        observation=None if said is None else Observation.of(said, kind), **more,
    )  # fmt: skip


def acted(turns, one=None, **more):
    one = one or task("a")
    return behaviour([attempt("a", "c", turns=tuple(turns), **more)], {"a": one})


def test_calls_after_the_answer_was_seen_by_hand():
    found = acted(
        [
            turn("search", "nothing here"),
            turn("visit", "Founded by ORLA  VENN."),
            turn("visit", "more"),
            turn("search", "Orla Venn again"),
            turn(answer="Orla Venn"),
        ]
    )
    assert (found.calls, found.seen, found.after_seen) == (4, 1, 2)
    assert found.after_seen_share == 0.5


def test_what_was_not_an_answer_of_the_web_does_not_count_as_seen():
    found = acted([turn("visit", "no page Orla Venn", "not_found"), turn("search", "x")])
    assert (found.seen, found.after_seen) == (0, 0)


def test_several_answers_may_be_seen_in_several_observations():
    both = task("a", answers=("Orla Venn", "Kesslow"))
    turns = [turn("visit", "Orla Venn"), turn("visit", "of Kesslow"), turn("visit", "x")]
    assert acted(turns, both).after_seen == 1


def test_unknown_tools_format_and_malformed_by_hand():
    turns = [
        turn("open", "no such tool", "unknown_tool", problem="unknown tool"),
        turn("search", "x"),
        turn(problem="neither call nor answer"),
        turn(answer="x"),
    ]
    found = acted(turns)
    assert (found.calls, found.unknown_tool, found.unknown_tool_share) == (2, 1, 0.5)
    assert (found.format_share, found.malformed_share) == (0.0, 0.25)
    assert acted([turn("search", "x"), turn(answer="x")]).format_share == 1.0
    assert acted([turn("search", "x")], stop="turn_limit").format_share == 0.0


def test_format_is_the_rewards():
    """A call that no tool accepted, or a turn that did nothing, counts though nobody noted it."""
    refused = turn("search", "query is missing", "bad_arguments")
    for turns in ([refused, turn(answer="x")], [turn(), turn(answer="x")], [turn(answer="x")], []):
        found = attempt("a", "c", turns=tuple(turns))
        share = behaviour([found], {"a": task("a")}).format_share
        assert share == float(format_ok(found)) == float(turns == [turn(answer="x")])


def test_turns_and_tokens_are_means_an_attempt_without_failures():
    usage = Usage(prompt_tokens=10, thought_tokens=1, action_tokens=2, observation_tokens=3)
    attempts = [
        attempt("a", "c", 0, turns=(turn("search", "x", usage=usage),)),
        attempt("a", "w", 1, turns=(turn("search", "x", usage=usage),) * 3),
        attempt("a", "f", 2, turns=(turn("search", "x", usage=usage),) * 50),
    ]
    found = behaviour(attempts, {"a": task("a")})
    assert (found.attempts, found.turns) == (2, 2.0)
    assert found.tokens.model_dump() == {
        "prompt": 20.0, "thought": 2.0, "action": 4.0, "observation": 6.0
    }  # fmt: skip


def test_behaviour_of_nothing():
    found = acted([])
    assert found.calls == 0
    assert found.unknown_tool_share is None
    assert found.malformed_share is None
    assert behaviour([attempt("a", "f")], {"a": task("a")}).attempts == 0


@pytest.mark.parametrize(
    ("answer", "text", "held"),
    [
        ("Orla Venn", "… by Orla\nVenn, 1874", True),
        ("Venn", "the Vennish", False),
        ("1,204 km", "1204 km long", True),
        ("1204", "in 11,204 ways", False),
        ("ÉDOUARD", "édouard lys", True),
        ("李四", "作者是李四。", True),
        ("?!", "what?!", False),  # nothing that could be told apart
        ("A. B. Coe", "a b coe", True),
    ],
)
def test_default_sight_is_of_whole_words_put_in_normal_form(answer, text, held):
    assert answer_in(task("t", answers=(answer,)), text) is held


def test_an_alias_is_sight_enough_and_all_answers_are_wanted():
    assert answer_in(task("t", aliases=("O. Venn",)), "by O Venn")
    assert not answer_in(task("t", answers=("Orla Venn", "Kesslow")), "Orla Venn")
