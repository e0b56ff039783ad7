"""Model folders: what a run starts from and leaves behind, and the hashes that identify them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from tokenizers import Tokenizer
from torch import Tensor, nn

from webfarer.store import folder, sha256_file, write_json
from webfarer.train.adapters import weights_of
from webfarer.types import BadInput, Segment

_RECORD = "training.json"
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "generation_config.json",
)  # fmt: skip


def load_tokenizer(source: Path | str) -> Tokenizer:
    """The tokenizer of a model folder or Hugging Face id. Raises BadInput where there is none."""
    file = Path(source) / "tokenizer.json"
    try:
        if file.is_file():
            return Tokenizer.from_file(str(file))
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(source)).backend_tokenizer
    except Exception as error:  # the library raises plain Exception on a file it cannot read
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{source} has no usable tokenizer: {reason}") from error


def tokenizer_hash(source: Path | str) -> str:
    """The SHA-256 that segments of this model's tokenizer carry, as `Renderer` gives it."""
    tokenizer = load_tokenizer(source)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def source_hash(source: Path | str) -> str:
    """What tells one starting point from another: the weights' SHA-256, or a hub id as it is."""
    path = Path(source)
    if not path.is_dir():
        return str(source)
    files = sorted([*path.glob("*.safetensors"), *path.glob("config.json")])
    return ",".join(sha256_file(file) for file in files)


def data_hash(segments: Sequence[Segment]) -> str:
    """The SHA-256 of the ids and masks, in order."""
    digest = hashlib.sha256()
    for segment in segments:
        digest.update(len(segment).to_bytes(8, "little"))
        digest.update(np.asarray(segment.ids, np.int32).tobytes())
        digest.update(np.asarray(segment.mask, np.uint8).tobytes())
    return digest.hexdigest()


def finished(path: Path, key: str) -> bool:
    """Whether the folder holds the model of the run of this key. Raises BadInput on another's."""
    if not path.exists():
        return False
    try:
        found = json.loads((path / _RECORD).read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found != key:
        raise BadInput(
            f"{path} holds another run's model (settings, data or first weights differ): "
            "choose another folder, or remove it"
        )
    return True


def left_out(path: Path) -> tuple[int, int]:
    """How many segments the model of this folder was not trained on, as longer than a row, and how
    many it was given."""
    found = json.loads((path / _RECORD).read_text(encoding="utf-8"))
    return found["too_long"], found["segments"]


def save_model(
    model: nn.Module,
    source: Path | str,
    out: Path,
    key: str,
    settings: BaseModel,
    about: dict[str, Any],
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes a complete Hugging Face folder: config, safetensors weights, the source's tokenizer.

    The tokenizer's files are copied as they are, so that its hash stays the same. `weights` stand
    in for the model's, where those are in several processes.
    """
    with folder(out) as building:
        save_weights(model, building, weights)
        copy_tokenizer(source, building)
        record = {"key": key, "settings": settings.model_dump(mode="json"), **about}
        write_json(building / _RECORD, record)


def save_weights(model: nn.Module, out: Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """Config and safetensors weights, adapters merged into them (the model keeps them apart);
    transformers' own progress bar is kept off the screen."""
    from transformers.utils import logging

    saver: Any = model
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        saver.save_pretrained(out, state_dict=dict(weights or weights_of(model)))
    finally:
        if shown:
            logging.enable_progress_bar()


def copy_tokenizer(source: Path | str, out: Path) -> None:
    """Copies a folder's tokenizer files; for a hub id, saves its tokenizer."""
    if (Path(source) / "tokenizer.json").is_file():
        for name in _TOKENIZER_FILES:
            if (Path(source) / name).is_file():
                shutil.copyfile(Path(source) / name, out / name)
        return
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(str(source)).save_pretrained(out)
