"""What a score's manifest says: enough for another machine to repeat it."""

from __future__ import annotations

from typing import Any

from webfarer.grade.rules import RuleGrader
from webfarer.rollout.collect import Arena
from webfarer.store.manifest import versions
from webfarer.types import Recipe


def score_manifest(recipe: Recipe, arena: Arena, task_set: str, split: str) -> dict[str, Any]:
    """The manifest of scores made in an arena; `task_set` is the SHA-256 of the task file."""
    toolbox = next(iter(arena.toolboxes.values()))
    return {
        "task_set": {"sha256": task_set, "split": split},
        "tools": toolbox.schemas(),
        "prompt": arena.system,
        "grader": RuleGrader.name,
        "sampling": {
            "temperature": recipe.eval.temperature,
            "top_p": 1.0,
            "top_k": 0,
            "samples": recipe.eval.samples,
            "seed": recipe.seed,
            **recipe.rollout.model_dump(mode="json"),
        },
        "versions": versions(),
        "recipe": recipe.model_dump(mode="json"),
    }
