"""What a score's manifest says: enough for another machine to repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webfarer.cli.options import folder_for
from webfarer.grade.rules import RuleGrader
from webfarer.rollout.collect import Arena
from webfarer.store.atomic import told
from webfarer.store.manifest import (
    key_of,
    new_manifest,
    read_manifest,
    sha256_file,
    versions,
    write_manifest,
)
from webfarer.types import BadInput, Recipe


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
    elif before.recipe != wanted:
        keys = sorted({*wanted, *before.recipe})
        differs = ", ".join(key for key in keys if wanted.get(key) != before.recipe.get(key))
        raise BadInput(
            f"{folder} holds what other settings made ({differs} differ): choose another folder, "
            "or remove it"
        )


def folder_key(path: Path) -> str:
    """A hash of a folder's files: a model, a graph. Raises BadInput where it is no folder."""
    if not path.is_dir():
        raise BadInput(f"{path} is not a folder: check the path")
    return key_of([(file.name, sha256_file(file)) for file in sorted(path.iterdir())
                   if file.is_file()])  # fmt: skip


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
