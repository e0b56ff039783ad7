"""Segments and groups: what cannot be held, and what is left of a group after failures."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from webfarer.types import NOT_SAMPLED, Failure, Group, Segment, Trajectory, Turn, Verdict

# Segments


def test_all_four_lists_grow_together():
    one = Segment("t")
    one.given([1, 2])
    one.chosen([3, 4], [-0.5, -0.25], 7)
    one.written([5])
    with pytest.raises(ValueError, match="1 ids but 0 log-probabilities"):
        one.chosen([6], [])
    assert (one.ids, one.mask) == ([1, 2, 3, 4, 5], [0, 0, 1, 1, 1])
    assert one.versions == [NOT_SAMPLED, NOT_SAMPLED, 7, 7, NOT_SAMPLED]
    assert one.logprobs[:4] == [0.0, 0.0, -0.5, -0.25]
    assert math.isnan(one.logprobs[4])


def test_where_no_versions_are_given_nothing_was_sampled():
    assert Segment("t", [1, 2], [0, 1], [0.0, math.nan]).versions == [-1, -1]
    assert Segment("t").versions == []


def test_segments_are_equal_where_everything_is():
    def one(**changes):
        given = {"ids": [1, 2], "mask": [1, 1], "logprobs": [-1.0, float("nan")]}
        return Segment("t", **(given | {"versions": [3, -1]} | changes))

    assert one() == one()
    assert one() != "t"
    for changes in (
        {"ids": [1, 3]},
        {"mask": [1, 0]},
        {"logprobs": [-1.0, 0.0]},
        {"logprobs": [-1.0]},
        {"versions": [4, -1]},
    ):
        assert one() != one(**changes)


def test_json_keeps_what_was_never_sampled():
    one = Segment("t")
    one.written([5])
    assert Segment(**json.loads(json.dumps(dataclasses.asdict(one)))) == one


# Groups


def member(number: int = 0, version: int = 7, **changes) -> Trajectory:
    turns = tuple(Turn(text="x", policy_version=version) for _ in range(2))
    made = Trajectory(
        task_id="t", member=number, policy="p", policy_version=version, system="s",
        question="Who?", stop="turn_limit", turns=turns,
        verdict=Verdict(status="wrong", reason="r", grader="g"),
    )  # fmt: skip
    return made.model_copy(update=changes)


def failed(number: int, **changes) -> Trajectory:
    """It broke before its first turn, so no version is known of it."""
    failure = Failure(kind="engine", message="lost")
    return member(
        number, 0, turns=(), stop="failure", failure=failure, verdict=None, **changes
    )  # fmt: skip


def unjudged(number: int) -> Trajectory:
    return member(number, verdict=Verdict(status="unjudged", reason="r", grader="g"))


OTHER_TURN = (Turn(text="x", policy_version=7), Turn(text="y", policy_version=8))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (member(2, task_id="u"), "handed u/p/2"),
        (member(2, 8), "version 7 was handed t/p/2 version 8"),
        (member(2, turns=OTHER_TURN), "version 7 was handed t/p/2 version 7, 8"),
        (member(2, policy_version=8), "version 7, 8"),
        (member(2, policy="expert"), "mixes policies"),
        (member(1), "holds a member twice"),
        (member(2, greedy=True), "t/p/greedy, which was not sampled"),
        (failed(2, policy="expert"), "mixes policies"),
    ],
)
def test_impossible_4_a_group_refuses_mixes(other, says):
    members = (member(0), member(1))
    assert Group("t", 7, 2, members).members == members
    with pytest.raises(ValueError, match=f"group of t .*{says}|group of t {says}"):
        Group("t", 7, 3, (*members, other))


@pytest.mark.parametrize("held", [0, 1, 3])
def test_impossible_4_a_group_is_never_partial(held):
    with pytest.raises(ValueError, match=f"has {held} members, not the 2 asked"):
        Group("t", 7, 2, tuple(member(n) for n in range(held)))
    with pytest.raises(ValueError, match="has 0 members, not the 0 asked"):
        Group("t", 7, 0, ())


@pytest.mark.parametrize(
    ("members", "valid", "usable"),
    [
        ([member(0), member(1), member(2), member(3)], [0, 1, 2, 3], True),
        ([failed(0), member(1), member(2), failed(3)], [1, 2], True),  # half are left
        ([failed(0), unjudged(1), member(2), failed(3)], [2], False),
        ([failed(0), member(1), unjudged(2)], [1], False),  # 1 of 3
        ([member(0, verdict=None), member(1)], [1], True),
        ([failed(0)], [], False),
    ],
)
def test_impossible_4_a_group_with_fewer_than_half_left_is_not_usable(members, valid, usable):
    group = Group("t", 7, len(members), tuple(members))
    assert [one.member for one in group.valid] == valid
    assert group.usable is usable
