"""What a score's manifest says: enough for another machine to repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webfarer.cli.options import folder_for
from webfarer.policy.base import Policy
from webfarer.rollout.collect import Arena
from webfarer.store.atomic import told, write_json
from webfarer.store.manifest import (
    key_of,
    new_manifest,
    read_manifest,
    sha256_file,
    versions,
    write_manifest,
)
from webfarer.types import BadInput, Recipe, RlSettings, RolloutSettings, SftSettings

_ENGINE = "engine.json"


def claim(folder: Path, asked: Mapping[str, Any]) -> None:
    """Marks a folder as one command's with these settings, which goes on in it when it is killed.

    So that no command reports what another made. Raises BadInput where the folder is a file, or
    holds other files or what other settings made.
    """
    folder_for(folder)
    wanted: dict[str, Any] = json.loads(json.dumps(asked))
    before = read_manifest(folder)
    if before is None:
        with told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            others = [path for path in folder.iterdir() if not path.name.startswith(".")]
        if others:
            raise BadInput(f"{folder} holds other files ({others[0].name}): choose another folder")
        write_manifest(folder, new_manifest(wanted))
    elif (old := _telling(before.recipe)) != (new := _telling(wanted)):
        differs = ", ".join(key for key in sorted({*new, *old}) if new.get(key) != old.get(key))
        raise BadInput(
            f"{folder} holds what other settings made ({differs} differ): choose another folder, "
            "or remove it"
        )


def _telling(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, without what may change where a run goes on."""
    how = {"rl": RlSettings.HOW, "sft": SftSettings.HOW}
    return {
        name: {key: given for key, given in part.items() if key not in how.get(name, ())}
        if isinstance(part, dict)
        else part
        for name, part in asked.items()
    }


def folder_key(path: Path) -> str:
    """A hash of a folder's files: a model, a graph. Raises BadInput where it is no folder."""
    if not path.is_dir():
        raise BadInput(f"{path} is not a folder: check the path")
    return key_of([(file.name, sha256_file(file)) for file in sorted(path.iterdir())
                   if file.is_file()])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scored:
    """What a policy's scores stand on: its model's hash, what ran it (`engine_of`), the SHA-256 of
    the tokenizer that budgets were counted in, and its chat family."""

    model: str
    engine: Mapping[str, Any]
    tokenizer: str
    family: str


def engine_of(policy: Policy, rollout: RolloutSettings) -> dict[str, Any]:
    """What runs a policy in this process: its name and, of a model's, device, dtype and threads."""
    if not policy.trainable:
        return {"name": "scripted"}
    import torch

    from webfarer.policy.model import pick_device

    return {
        "name": "transformers-local",
        "device": str(pick_device()),
        "dtype": rollout.dtype,
        "threads": torch.get_num_threads(),
    }


def keep_engine(folder: Path, policy: Policy, rollout: RolloutSettings) -> None:
    """Writes beside a policy's attempts what ran it, the first time: who asks later may be another
    machine, which only reads them."""
    if not (folder / _ENGINE).exists():
        write_json(folder / _ENGINE, engine_of(policy, rollout))


def kept_engine(folder: Path) -> dict[str, Any]:
    return json.loads((folder / _ENGINE).read_text("utf-8"))


def score_manifest(
    recipe: Recipe, arena: Arena, task_set: str, split: str, policies: Mapping[str, Scored]
) -> dict[str, Any]:
    """The manifest of scores made in an arena; `task_set` is the SHA-256 of the task file."""
    toolbox = next(iter(arena.toolboxes.values()))
    return {
        "models": {name: scored.model for name, scored in policies.items()},
        "engine": {name: dict(scored.engine) for name, scored in policies.items()},
        "tokenizer": {name: scored.tokenizer for name, scored in policies.items()},
        "family": {name: scored.family for name, scored in policies.items()},
        "budgets": recipe.tools.model_dump(mode="json"),
        "task_set": {"sha256": task_set, "split": split},
        "tools": toolbox.schemas(),
        "prompt": arena.system,
        "grader": arena.grader.name,
        "sampling": {
            "temperature": recipe.eval.temperature,
            "top_p": 1.0,
            "top_k": 0,
            "samples": recipe.eval.samples,
            **recipe.rollout.model_dump(mode="json"),
            "seed": arena.seed,
            "max_turns": arena.max_turns,
        },
        "versions": versions(),
        "recipe": recipe.model_dump(mode="json"),
    }
