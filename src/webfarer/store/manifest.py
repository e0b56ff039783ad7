"""The manifest of a run: what was asked, with which versions, and what each stage made of it.

A stage owns the folder of its name in the run's folder. It is run once for a key (a hash of its
settings and of what it reads); what it wrote is recorded file by file with its SHA-256.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from webfarer.store.atomic import write_text
from webfarer.store.jsonl import complaint
from webfarer.types import BadInput, Record

NAME = "manifest.json"
_LIBRARIES = (
    "numpy", "pydantic", "safetensors", "selectolax", "tantivy", "tokenizers", "torch",
    "transformers",
)  # fmt: skip


class Stage(Record):
    """One stage: the key it was run for, the files it wrote and their SHA-256, and how long."""

    key: str
    done: bool = False
    outputs: dict[str, str] = {}
    seconds: float = 0.0


class Manifest(Record):
    """Everything needed to repeat a run elsewhere."""

    format: int = 1
    recipe: dict[str, Any]
    versions: dict[str, str]
    machine: dict[str, str | int]
    stages: dict[str, Stage] = {}

    def outputs(self) -> dict[str, str]:
        """Every file the run has finished writing, relative to its folder, with its SHA-256."""
        return {
            f"{name}/{file}": digest
            for name, stage in self.stages.items()
            for file, digest in stage.outputs.items()
        }


def new_manifest(recipe: dict[str, Any]) -> Manifest:
    """A manifest of this machine and these versions, with no stages yet."""
    return Manifest(recipe=recipe, versions=versions(), machine=machine())


def read_manifest(run: Path) -> Manifest | None:
    """The run's manifest, or None where there is none. Raises BadInput where it is not one."""
    path = Path(run) / NAME
    if not path.exists():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadInput(f"{path} is not a manifest: {complaint(error)}") from error


def write_manifest(run: Path, manifest: Manifest) -> None:
    write_text(Path(run) / NAME, manifest.model_dump_json(indent=2) + "\n")


def stage(
    run: Path,
    name: str,
    key: str,
    work: Callable[[Path], None],
    *,
    redo: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Stage:
    """Runs `work` on the stage's folder unless it is done, and returns its record.

    A stage that was begun for the same key is given its folder as it was left, to go on. What a
    finished stage wrote and someone changed is removed, said to `warn` and made again. Raises
    BadInput where the folder was made for another key, where files were put into a finished
    stage, or where the run has no manifest; with `redo` what was made for another key is removed
    and made again.
    """
    run = Path(run)
    manifest = read_manifest(run)
    if manifest is None:
        raise BadInput(f"{run} is not a run's folder: it has no {NAME}")
    before = manifest.stages.get(name)
    if before and before.key != key:
        _remove(run / name, redo)
    elif before and before.done:
        spoilt = _spoilt(run / name, before.outputs)
        if not spoilt:
            return before
        _take_out(run / name, spoilt, warn or _warn)
    _record(run, name, Stage(key=key))
    begun = time.perf_counter()
    (run / name).mkdir(parents=True, exist_ok=True)
    work(run / name)
    after = Stage(
        key=key,
        done=True,
        outputs=file_hashes(run / name),
        seconds=round(time.perf_counter() - begun, 3),
    )
    _record(run, name, after)
    return after


def key_of(*parts: Any) -> str:
    """A hash of settings and inputs: JSON values, records and paths. Key order does not count."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file under a folder, by relative path, sorted; hidden ones left out."""
    folder = Path(folder)
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    shown = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    return {file.as_posix(): sha256_file(folder / file) for file in sorted(shown)}


def versions() -> dict[str, str]:
    """The versions of Webfarer, Python and the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for name in ("webfarer", *_LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed has no part in the run
    return found


def machine() -> dict[str, str | int]:
    """Platform, processor architecture and number of cores; no name of host or user."""
    return {
        "platform": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
    }


def _record(run: Path, name: str, done: Stage) -> None:
    manifest = read_manifest(run)
    assert manifest is not None
    stages = {**manifest.stages, name: done}
    write_manifest(run, manifest.model_copy(update={"stages": stages}))


def _remove(path: Path, redo: bool) -> None:
    if not redo:
        raise BadInput(
            f"{path} was made with other settings: choose another folder, or have it made again"
        )
    shutil.rmtree(path, ignore_errors=True)


def _spoilt(folder: Path, recorded: dict[str, str]) -> list[str]:
    """The recorded files that are gone or no longer what was written. Raises BadInput on others."""
    found = file_hashes(folder)
    if strange := sorted(found.keys() - recorded.keys()):
        raise BadInput(
            f"{folder / strange[0]} was put into a finished stage, which would take it for its "
            "own: remove it"
        )
    return [file for file, digest in recorded.items() if found.get(file) != digest]


def _take_out(folder: Path, spoilt: Iterable[str], warn: Callable[[str], None]) -> None:
    """Removes spoilt files, each with all that is written as one with it: stages judge what is
    left to do by what is there. A folder is one (a model, a world), and so are the files of one
    name (a part and its shard)."""
    for file in spoilt:
        warn(f"{folder / file} was changed or removed since it was written: it is made again")
        top, *below = Path(file).parts
        if below:
            shutil.rmtree(folder / top, ignore_errors=True)
            continue
        (folder / file).unlink(missing_ok=True)
        for path in folder.glob(f"{glob.escape(Path(file).stem)}.*"):
            path.unlink(missing_ok=True)


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"a {type(value).__name__} cannot be part of a key")
