"""Trajectories as token ids to learn from: prompts and observations masked.

The policy's own turns are trained through their end-of-turn token; system, question, template and
observations are not. The result is what the policy will meet in a rollout, id for id, because one
renderer makes both.
"""

from __future__ import annotations

from webfarer.policy import tags
from webfarer.policy.renderer import Renderer
from webfarer.types import BadInput, Segment, Trajectory


def segment_of(trajectory: Trajectory, renderer: Renderer, *, compact: bool = False) -> Segment:
    """One append-only segment of the whole trajectory.

    Raises BadInput for a turn that has neither call nor answer: the funnel drops such ones.
    """
    segment = Segment(tokenizer=renderer.tokenizer_sha256)
    segment.given(renderer.start(trajectory.system, trajectory.question))
    for turn in trajectory.turns:
        action = turn.call if turn.call is not None else turn.answer
        if action is None:
            raise BadInput(f"{trajectory.id}: a turn cannot be read ({turn.problem}); filter first")
        ids = renderer.turn(tags.write(turn.thought, action, compact=compact))
        segment.chosen(ids, [0.0] * len(ids))
        if turn.observation is not None:
            segment.given(renderer.observe(turn.observation, closed=True))
    return segment
