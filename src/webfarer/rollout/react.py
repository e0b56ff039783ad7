"""ReAct (Yao et al. 2023): thought, action, observation, until an answer or a limit.

The loop decides whose fault an end is. What the policy caused (a turn that cannot be read, the turn
or token limit) is an outcome. What our side broke is a `failure`: it ends the attempt, is counted,
and never becomes text, reward or baseline. What the web says is an observation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from webfarer.policy import tags
from webfarer.policy.base import Actor, Attempt, OutOfContext, Policy, Reply
from webfarer.tools.toolbox import Toolbox
from webfarer.types import (
    Failure,
    FailureError,
    Observation,
    Segment,
    StopReason,
    Trajectory,
    Turn,
    Usage,
)


@dataclass(frozen=True)
class Rolled:
    """A trajectory and, for a trainable policy, its token ids."""

    trajectory: Trajectory
    segments: tuple[Segment, ...] = ()


async def roll(
    policy: Policy,
    toolbox: Toolbox,
    attempt: Attempt,
    *,
    max_turns: int,
    count: Callable[[str], int],
) -> Rolled:
    """One attempt at one task; `count` gives a text's tokens, for the accounting.

    Raises nothing that the policy, the web or our side caused.
    """
    turns: list[Turn] = []
    actor = failure = None
    try:
        actor = policy.start(attempt)
        stop = await _turns(actor, toolbox, turns, max_turns, count)
    except FailureError as error:
        stop, failure = "failure", Failure(kind=error.kind, message=error.message)
    trajectory = Trajectory(
        task_id=attempt.task.id,
        member=attempt.member,
        greedy=attempt.greedy,
        policy=policy.name,
        policy_version=turns[-1].policy_version if turns else 0,
        trainable=policy.trainable,
        system=attempt.system,
        question=attempt.question,
        turns=tuple(turns),
        answer=turns[-1].answer if turns else None,
        stop=stop,
        failure=failure,
        faults=getattr(actor, "faults", ()),
    )
    return Rolled(trajectory, tuple(actor.segments) if actor else ())


async def _turns(
    actor: Actor,
    toolbox: Toolbox,
    turns: list[Turn],
    max_turns: int,
    count: Callable[[str], int],
) -> StopReason:
    observation: Observation | None = None
    while len(turns) < max_turns:
        try:
            reply = await actor.act(observation)
        except OutOfContext:
            return "token_limit"
        turn = read_turn(reply)
        turns.append(turn)
        if turn.answer is not None:
            return "answer"
        if turn.call is None:
            return "token_limit" if turn.finish == "length" else "malformed"
        turns[-1] = await _observed(turn, toolbox, count)
        observation = turns[-1].observation
    return "turn_limit"


def read_turn(reply: Reply) -> Turn:
    """The turn as accepted: cut at the call, so that nothing written after it counts."""
    parsed = tags.read(reply.text)
    return Turn(
        text=parsed.text,
        thought=parsed.thought,
        call=parsed.call,
        answer=parsed.answer,
        problem=parsed.problem,
        finish=reply.finish,
        segment=reply.segment,
        policy_version=reply.policy_version,
        usage=Usage(
            prompt_tokens=reply.prompt_tokens,
            cached_tokens=reply.cached_tokens,
            thought_tokens=reply.thought_tokens,
            action_tokens=reply.action_tokens,
            queue_s=reply.queue_s,
            model_s=reply.model_s,
            cost=reply.cost,
        ),
    )


async def _observed(turn: Turn, toolbox: Toolbox, count: Callable[[str], int]) -> Turn:
    """The turn with what its call returned, and the call's problem where it has one."""
    assert turn.call is not None
    problem = toolbox.problem(turn.call)
    started = time.perf_counter()
    observation = await toolbox.run(turn.call)
    usage = turn.usage.model_copy(
        update={
            "tool_s": time.perf_counter() - started,
            "observation_tokens": count(observation.text),
        }
    )
    return turn.model_copy(
        update={
            "observation": observation,
            "usage": usage,
            "problem": problem[1] if problem else None,
        }
    )
