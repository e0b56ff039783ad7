"""`Reward` of a trajectory: 0.1 x format + 0.9 x answer (WebDancer; WebSailor, equation 5)."""

from __future__ import annotations

from webfarer.types import Reward, Trajectory, Turn, Verdict

FORMAT_WEIGHT = 0.1
ANSWER_WEIGHT = 0.9


def format_ok(trajectory: Trajectory) -> bool:
    """Whether it ended in an answer, every turn could be read, and every call named a known tool
    with arguments that its schema accepts."""
    if trajectory.stop != "answer" or trajectory.answer is None:
        return False
    return bool(trajectory.turns) and all(_turn_ok(turn) for turn in trajectory.turns)


def _turn_ok(turn: Turn) -> bool:
    seen = turn.observation.kind if turn.observation else "ok"
    acted = turn.call is not None or turn.answer is not None
    return turn.problem is None and acted and seen not in ("unknown_tool", "bad_arguments")


def reward(
    well_formed: bool,
    verdict: Verdict | None,
    *,
    score: float | None = None,
    format_weight: float = FORMAT_WEIGHT,
    answer_weight: float = ANSWER_WEIGHT,
) -> Reward:
    """The reward of an attempt; None for the verdict means that it gave no answer. A `score`, from
    0 to 1, is what the answer earns in place of the verdict's 0 or 1.

    Raises ValueError for an unjudged verdict: what no one could judge is never a reward; and for a
    score that is not between 0 and 1.
    """
    if verdict is not None and verdict.status == "unjudged":
        raise ValueError(f"an unjudged answer has no reward: {verdict.reason}")
    if score is not None and not 0.0 <= score <= 1.0:
        raise ValueError(f"the score {score:g} is not between 0 and 1")
    correct = verdict is not None and verdict.status == "correct"
    earned = float(correct) if score is None or verdict is None else score
    return Reward(
        parts={"format": float(well_formed), "answer": earned},
        weights={"format": format_weight, "answer": answer_weight},
    )


def reward_of(
    trajectory: Trajectory,
    verdict: Verdict | None,
    *,
    format_weight: float = FORMAT_WEIGHT,
    answer_weight: float = ANSWER_WEIGHT,
) -> Reward:
    """The reward of a trajectory under a verdict. One that ran into a limit, or could not be read
    to its end, gave no answer: both parts are 0.

    Raises ValueError where our side broke (`failure`) and for an unjudged verdict.
    """
    if trajectory.failure is not None or trajectory.stop == "failure":
        raise ValueError(f"{trajectory.id} is a failure of ours and has no reward")
    answered = trajectory.stop == "answer" and trajectory.answer is not None
    return reward(
        format_ok(trajectory),
        verdict if answered else None,
        format_weight=format_weight,
        answer_weight=answer_weight,
    )
