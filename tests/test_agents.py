"""Policies as they are put together from settings."""

from __future__ import annotations

from webfarer.cli.agents import local_policy
from webfarer.policy.chat import load_renderer
from webfarer.policy.llm import LlmPolicy
from webfarer.policy.local import LocalEngine
from webfarer.types import RolloutSettings


def test_every_limit_of_a_rollout_reaches_the_engine(tiny_model):
    settings = RolloutSettings(
        slots=3, context=600, turn_tokens=17, max_cache_tokens=1300, prefill_chunk=11,
        batch_tokens=77,
    )  # fmt: skip
    policy = local_policy("m", tiny_model, load_renderer(tiny_model), settings, 0.5)
    assert isinstance(policy, LlmPolicy)
    assert (policy.max_turn_tokens, policy.temperature) == (17, 0.5)
    engine = policy.engine
    assert isinstance(engine, LocalEngine)
    assert (engine.context, len(engine._slots.row_S)) == (600, 3)
    assert (engine._budget, engine._chunk, engine._batch_tokens) == (1300, 11, 77)


def test_by_default_the_cache_holds_every_slot_at_full_length(tiny_model):
    settings = RolloutSettings(slots=3, context=600)
    policy = local_policy("m", tiny_model, load_renderer(tiny_model), settings, 1.0)
    assert isinstance(policy, LlmPolicy)
    assert isinstance(policy.engine, LocalEngine)
    assert policy.engine._budget == 1800
