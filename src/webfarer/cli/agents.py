"""Policies and the arenas they act in, put together from settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webfarer.cli.graders import graded_by, grader_of
from webfarer.cli.manifest import folder_key
from webfarer.policy.base import Policy
from webfarer.policy.chat import ChatRenderer, load_renderer
from webfarer.policy.expert import Expert
from webfarer.policy.llm import LlmPolicy
from webfarer.policy.source import model_folder
from webfarer.rollout.collect import Arena
from webfarer.rollout.prompt import system_prompt
from webfarer.rollout.trainee import Trainee
from webfarer.rollout.world import World
from webfarer.types import GradeSettings, Recipe, RolloutSettings, ToolSettings

if TYPE_CHECKING:
    from webfarer.policy.local import LocalEngine


def arena(
    worlds: Mapping[str, World],
    count: Callable[[str], int],
    tools: ToolSettings,
    rollout: RolloutSettings,
    seed: int,
    grade: GradeSettings = GradeSettings(),
) -> Arena:
    """Where attempts take place: `search` and `visit` over each world, graded as the settings say.

    Many attempts make the same calls, and most of what a call costs is counting its tokens.
    """
    count = lru_cache(maxsize=1 << 15)(count)
    boxes = {name: world.toolbox(tools, count) for name, world in worlds.items()}
    first = next(iter(boxes.values()))
    return Arena(
        toolboxes=boxes,
        grader=grader_of(grade),
        system=system_prompt(list(first.tools.values()), rollout.prompt),
        max_turns=rollout.max_turns,
        count=count,
        seed=seed,
        format_weight=grade.format_weight,
    )


def local_policy(
    name: str, source: Path, renderer: ChatRenderer, rollout: RolloutSettings, temperature: float
) -> LlmPolicy:
    """A model folder behind the local engine."""
    engine = local_engine(source, renderer, rollout)
    return LlmPolicy(
        name, engine, renderer, temperature=temperature, max_turn_tokens=rollout.turn_tokens,
        places=rollout.slots,
    )  # fmt: skip


def trainee(
    recipe: Recipe,
    source: Path,
    renderer: ChatRenderer,
    place: Arena,
    scored: Arena | None = None,
) -> Trainee:
    """A model folder as reinforcement learning trains it, in a place; held-out tasks in another."""
    engine = local_engine(source, renderer, recipe.rollout)
    policy = LlmPolicy(
        "rl", engine, renderer, temperature=recipe.rl.temperature,
        max_turn_tokens=recipe.rollout.turn_tokens, places=recipe.rollout.slots,
    )  # fmt: skip
    return Trainee(policy, engine, place, scored)


def local_engine(source: Path, renderer: ChatRenderer, rollout: RolloutSettings) -> LocalEngine:
    """The engine over a model folder."""
    from webfarer.policy.local import LocalEngine
    from webfarer.policy.model import load_model

    return LocalEngine(
        load_model(source, dtype=rollout.dtype),
        renderer.tokenizer,
        slots=rollout.slots,
        context=rollout.context,
        max_cache_tokens=rollout.max_cache_tokens,
        chunk=rollout.prefill_chunk,
        batch_tokens=rollout.batch_tokens,
    )


def policy_key(name: str) -> str:
    """What tells the policy of that name from any other: its model's hash, or that it is the
    expert (whose observations are measured in the base model's tokens)."""
    return name if name == "expert" else folder_key(_source(name))


def asked_of(
    name: str,
    renderer: ChatRenderer,
    worlds: Mapping[str, World],
    recipe: Recipe,
) -> dict[str, Any]:
    """What attempts of a policy depend on, beside the tasks: for `claim`."""
    return {
        "policy": name,
        "model": policy_key(name),
        "tokenizer": renderer.tokenizer_sha256,
        "worlds": {key: world.key for key, world in worlds.items()},
        "tools": recipe.tools.model_dump(mode="json"),
        "rollout": recipe.rollout.model_dump(mode="json"),
        "temperature": recipe.eval.temperature,
        **graded_by(recipe.grade),
    }


def policy_named(
    name: str,
    worlds: Mapping[str, World],
    rollout: RolloutSettings,
    temperature: float,
    family: str | None = None,
) -> tuple[Policy, ChatRenderer]:
    """ "expert", "base", or a model folder or hub id; and the renderer whose tokens count.

    `family` names the chat family of a folder's or id's model where its files do not show it.
    """
    source = _source(name)
    renderer = load_renderer(source, None if name in ("expert", "base") else family)
    if name == "expert":
        return Expert({key: world.atlas for key, world in worlds.items()}), renderer
    return local_policy(name, source, renderer, rollout, temperature), renderer


def _source(name: str) -> Path:
    return model_folder("" if name in ("expert", "base") else name)
