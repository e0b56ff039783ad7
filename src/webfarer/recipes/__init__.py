"""Recipes: files of settings, by name or by path."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from webfarer.types import BadInput, Recipe


def names() -> list[str]:
    """The recipes that come with Webfarer."""
    found = (Path(file.name) for file in files(__name__).iterdir())
    return sorted(path.stem for path in found if path.suffix == ".toml")


def load_recipe(source: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of that name, or of a TOML file, with settings such as {"sft.epochs": 2} put in.

    Raises BadInput, in one line, where there is none or a setting is not one.
    """
    data = _read(source)
    for path, value in (overrides or {}).items():
        _put(data, path, value)
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"recipe {source}, setting {where}: {first['msg']}") from error


def _read(source: str) -> dict[str, Any]:
    try:
        if source in names():
            return tomllib.loads((files(__name__) / f"{source}.toml").read_text("utf-8"))
        return tomllib.loads(Path(source).read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"recipe {source} is not TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"there is no recipe {source}: give a TOML file, or one of {', '.join(names())}"
        ) from error


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    *sections, last = path.split(".")
    for section in sections:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            raise BadInput(f"setting {path}: {section} is no section")
    data[last] = value
