"""Reward = 0.1 x format + 0.9 x answer, and what never becomes one."""

import pytest

from webfarer.grade import format_ok, reward, reward_of
from webfarer.types import Call, Failure, Observation, Trajectory, Turn, Verdict

CORRECT = Verdict(status="correct", reason="is", grader="test")
WRONG = Verdict(status="wrong", reason="is not", grader="test")
UNJUDGED = Verdict(status="unjudged", reason="cannot tell", grader="test")
SEARCH = Turn(
    text="...",
    call=Call(name="search", arguments={"query": ["q"]}),
    observation=Observation.of("x"),
)
ANSWER = Turn(text="...", answer="a")


def attempt(*turns: Turn, **changes) -> Trajectory:
    made = Trajectory(
        task_id="t", policy="p", system="s", question="q", turns=turns, answer="a", stop="answer"
    )
    return made.model_copy(update=changes)


@pytest.mark.parametrize(
    ("well_formed", "verdict", "total"),
    [(True, CORRECT, 1.0), (False, CORRECT, 0.9), (True, WRONG, 0.1), (False, WRONG, 0.0),
     (False, None, 0.0)],
)  # fmt: skip
def test_the_published_weights(well_formed: bool, verdict: Verdict | None, total: float) -> None:
    assert reward(well_formed, verdict).total == pytest.approx(total)


def test_weights_can_be_set() -> None:
    given = reward(True, WRONG, format_weight=0.5, answer_weight=2.0)
    assert given.total == 0.5
    assert given.weights == {"format": 0.5, "answer": 2.0}


def test_format_is_one_only_if_every_turn_parses_and_every_call_fits() -> None:
    unread = Turn(text="...", problem="no call and no answer")
    unknown = SEARCH.model_copy(update={"observation": Observation.of("?", "unknown_tool")})
    assert format_ok(attempt(SEARCH, ANSWER))
    assert format_ok(attempt(ANSWER))
    assert not format_ok(attempt(unread, ANSWER))
    assert not format_ok(attempt(SEARCH.model_copy(update={"problem": "no such tool"}), ANSWER))
    assert not format_ok(attempt(unknown, ANSWER))
    assert not format_ok(attempt(Turn(text="..."), ANSWER))
    assert not format_ok(attempt())


@pytest.mark.parametrize("stop", ["turn_limit", "token_limit", "malformed"])
def test_a_limit_gives_answer_0_and_format_0(stop: str) -> None:
    assert reward_of(attempt(SEARCH, stop=stop, answer=None), None).total == 0.0
    assert reward_of(attempt(SEARCH, ANSWER, stop=stop), CORRECT).total == 0.0


def test_a_well_formed_wrong_answer_and_a_right_one() -> None:
    assert reward_of(attempt(SEARCH, ANSWER), WRONG).total == pytest.approx(0.1)
    assert reward_of(attempt(SEARCH, ANSWER), CORRECT).total == pytest.approx(1.0)


def test_an_unjudged_verdict_never_becomes_a_reward() -> None:
    with pytest.raises(ValueError, match="unjudged"):
        reward(True, UNJUDGED)
    with pytest.raises(ValueError, match="unjudged"):
        reward_of(attempt(ANSWER), UNJUDGED)


def test_a_failure_never_becomes_a_reward() -> None:
    broken = attempt(SEARCH, stop="failure", failure=Failure(kind="tool", message="down"))
    with pytest.raises(ValueError, match="failure"):
        reward_of(broken, None)
