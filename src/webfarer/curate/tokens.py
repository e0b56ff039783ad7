"""Trajectories as token ids to learn from: prompts and observations masked.

The policy's own turns are trained through their end-of-turn token; system, question, template and
observations are not. The result is what the policy will meet in a rollout, id for id, because one
renderer makes both. A trajectory whose ids were recorded when they were sampled is learnt from as
it was recorded: nothing sampled is decoded and encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence

from webfarer.policy import tags
from webfarer.policy.renderer import Renderer
from webfarer.store.shards import Shards
from webfarer.types import BadInput, Segment, Trajectory


def segments_of(
    trajectory: Trajectory, renderer: Renderer, shards: Shards, *, compact: bool = False
) -> Sequence[Segment]:
    """The segments recorded under this tokenizer, or the one that the text makes where there are
    none: an expert's, or a policy's of another tokenizer, which teaches by its text.

    Raises BadInput as `segment_of`, and where a recorded segment is missing or another's.
    """
    refs = [ref for ref in trajectory.segments if ref.tokenizer == renderer.tokenizer_sha256]
    if refs:
        return [shards.read(ref) for ref in refs]
    return [segment_of(trajectory, renderer, compact=compact)]


def segment_of(trajectory: Trajectory, renderer: Renderer, *, compact: bool = False) -> Segment:
    """One append-only segment of the whole trajectory, its turns written and not sampled: their
    log-probabilities are NaN.

    Raises BadInput for a turn that has neither call nor answer, which the funnel drops, and for one
    that no policy could have written.
    """
    segment = Segment(tokenizer=renderer.tokenizer_sha256)
    segment.given(renderer.start(trajectory.system, trajectory.question))
    for turn in trajectory.turns:
        action = turn.call if turn.call is not None else turn.answer
        if action is None:
            raise BadInput(f"{trajectory.id}: a turn cannot be read ({turn.problem}); filter first")
        try:
            ids = renderer.turn(tags.write(turn.thought, action, compact=compact))
        except ValueError as error:
            raise BadInput(f"{trajectory.id}: {error}; remove the trajectory") from error
        segment.written(ids)
        if turn.observation is not None:
            segment.given(renderer.observe(turn.observation, closed=True))
    return segment
