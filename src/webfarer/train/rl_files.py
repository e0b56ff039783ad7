"""The files of a reinforcement-learning run: the first of its processes writes and reads them, and
tells the others what it read. Weights alone are read by each: all must see the folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from webfarer.store import append_jsonl, read_jsonl, write_json, write_jsonl
from webfarer.train.adapters import weights_of
from webfarer.train.checkpoint import load_checkpoint, save_checkpoint
from webfarer.train.folder import finished, save_model
from webfarer.train.processes import Ranks
from webfarer.train.rl_batch import Sampled
from webfarer.train.rl_update import Updater
from webfarer.train.scored import Trained
from webfarer.types import BadInput, Record, RlSettings, WebfarerError

Line = TypeVar("Line", bound=Record)
_CHECKPOINT = "checkpoint.safetensors"


class RunFiles:
    """One run's folder; `key` tells the run from any other. All processes call every method."""

    def __init__(self, out: Path, key: str, ranks: Ranks) -> None:
        self.model = out / "model"
        self._out, self._key, self._ranks = out, key, ranks

    def finished(self) -> bool:
        """Whether the run's model is there; then its checkpoints are not. Raises BadInput where it
        is another's."""

        def look() -> bool:
            there = finished(self.model, self._key)
            if there:
                self._tidy()  # killed just before they were removed
            return there

        return self._ranks.told(look)

    def claim(self) -> None:
        """Puts the run's key into its folder before anything else is: what another run left there
        before its first checkpoint must not be taken for this one's."""
        path = self._out / "run.json"
        self._ranks.told(lambda: _claim(path, self._key))
        seen = path.exists()
        if not all(self._ranks.gathered(seen)):
            raise BadInput(f"not all processes see {self._out}: choose a folder that all share")

    def append(self, name: str, lines: Sequence[BaseModel]) -> None:
        """Adds lines to a file of the folder."""
        if self._ranks.first:
            append_jsonl(self._out / name, lines)

    def kept(self, name: str, model: type[Line], done: int) -> list[Line]:
        """A file's lines of the first `done` steps, those of later ones being dropped: they are
        taken again."""
        return self._ranks.told(lambda: _kept(self._out / name, model, done))

    def show(self, step: int, sampled: Sequence[Sampled]) -> None:
        """Writes a step's attempts down whole, for people to read."""
        if self._ranks.first:
            shown = [member for one in sampled for member in one.group.members]
            write_jsonl(self._out / "shown" / f"step-{step:05d}.jsonl", shown)

    def save(self, updater: Updater, step: int) -> None:
        """Keeps what is needed to go on after so many steps."""
        self._save(self._out / _CHECKPOINT, updater, step, self._key)

    def save_best(self, updater: Updater, step: int) -> None:
        """Keeps the weights that scored best so far. Earlier ones stay until a checkpoint makes
        sure that they are not the best again: see `drop_bests`."""
        self._save(self._best(step), updater, step, "")

    def has_best(self, step: int) -> bool:
        """Whether the weights of that step were kept as the best."""
        return self._ranks.told(self._best(step).exists)

    def drop_bests(self, but: int) -> None:
        """Removes the best weights of all steps but one."""
        if self._ranks.first:
            for path in self._out.glob("best-*.safetensors"):
                if path != self._best(but):
                    path.unlink(missing_ok=True)

    def _best(self, step: int) -> Path:
        return self._out / f"best-{step:05d}.safetensors"

    def begun(self) -> bool:
        """Whether steps are kept."""
        return self._ranks.told((self._out / _CHECKPOINT).exists)

    def load(self, updater: Updater) -> int:
        """Puts back what was kept; returns the steps done."""
        done = load_checkpoint(
            self._out / _CHECKPOINT, updater.trained, updater.optimizer, self._key
        )
        if len(set(self._ranks.gathered(done))) > 1:
            raise BadInput(f"processes see another checkpoint in {self._out}: share one folder")
        return done

    def finish(
        self,
        updater: Updater,
        model: Trained,
        source: Path | str,
        settings: RlSettings,
        best_step: int,
    ) -> Path:
        """Writes the best weights as a model folder (the last, where no step is the best); then the
        checkpoints are no longer needed."""
        if best_step >= 0:
            path = self._best(best_step)
            if not self.has_best(best_step):
                raise WebfarerError(f"{path} is gone: it held the weights of the best score")
            load_checkpoint(path, updater.trained, updater.optimizer, "")
        about = {
            "steps": settings.steps,
            "weights_of_step": best_step if best_step >= 0 else settings.steps,
        }
        policy = model.scored.policy
        if model.adapters:
            model.adapters.save(self._out / "adapter", self._ranks.first)
        weights = weights_of(policy)

        def write() -> None:
            save_model(policy, source, self.model, self._key, settings, about, weights)
            self._tidy()

        self._ranks.told(write)
        return self.model

    def _tidy(self) -> None:
        (self._out / _CHECKPOINT).unlink(missing_ok=True)
        for path in self._out.glob("best-*.safetensors"):
            path.unlink(missing_ok=True)

    def _save(self, path: Path, updater: Updater, step: int, key: str) -> None:
        first = self._ranks.first
        save_checkpoint(path, updater.trained, updater.optimizer, step, key, writes=first)


def _claim(path: Path, key: str) -> None:
    if not path.exists():
        write_json(path, {"key": key})
    elif json.loads(path.read_text(encoding="utf-8")) != {"key": key}:
        raise BadInput(
            f"{path.parent} holds another run (settings, tasks, tools or first weights differ): "
            "choose another folder, or remove it"
        )


def _kept(path: Path, model: type[Any], done: int) -> list[Any]:
    if not path.exists():
        return []
    torn = read_jsonl(path, model, lambda _: None)  # the last line of a kill: it is made again
    kept = [line for line in torn if line.step <= done]
    write_jsonl(path, kept)
    return kept
