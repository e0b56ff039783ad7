"""Loading a causal language model or a classifier: any Hugging Face id or folder, safetensors only.

A pickle can run code when it is read, so `.bin` files are refused; so is a folder that leaves
some of the model's weights to chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)
from transformers.utils import logging

from webfarer.types import BadInput

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    source: str | Path, dtype: str = "float32", device: str = "auto", *, classifier: bool = False
) -> PreTrainedModel:
    """The model in evaluation mode on the device ("auto": an accelerator where there is one): a
    causal one, or a `classifier`, which has a sequence-classification head.

    Raises BadInput where the source is missing, corrupt, of another kind, not in safetensors, or
    lacks weights.
    """
    if dtype not in _DTYPES:
        raise BadInput(f"dtype {dtype!r} is unknown; choose one of {', '.join(_DTYPES)}")
    if _is_folder(source):
        _check_folder(Path(source))
    auto: Any = AutoModelForSequenceClassification if classifier else AutoModelForCausalLM
    kind = "sequence classifier" if classifier else "causal model"
    try:
        with _quiet():
            loaded: Any = auto.from_pretrained(
                str(source), dtype=_DTYPES[dtype], use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = _one_line(error)
        raise BadInput(f"{source} cannot be loaded as a {kind}: {reason}") from error
    model, info = loaded
    missing = sorted(info["missing_keys"])
    if missing:
        raise BadInput(
            f"{source} lacks {len(missing)} of the model's weights ({missing[0]}, ...); "
            "give a complete checkpoint"
        )
    model.eval()
    return model.to(pick_device(device))


def pick_device(device: str = "auto") -> torch.device:
    """The device named, or for "auto" the accelerator that torch sees, else the CPU."""
    if device != "auto":
        return torch.device(device)
    found = torch.accelerator.current_accelerator(check_available=True)
    return found if found is not None else torch.device("cpu")


def _is_folder(source: str | Path) -> bool:
    """A hub id is "name" or "owner/name"; anything else, and all that exists, is a path."""
    path = Path(source)
    looks_local = isinstance(source, Path) or path.is_absolute() or source.startswith(".")
    return looks_local or path.exists() or str(source).count("/") > 1


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder; give a model folder or a Hugging Face model id")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{folder} has no config.json; it is not a model folder") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder / 'config.json'} cannot be read: {_one_line(error)}") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise BadInput(f"{folder / 'config.json'} names no model_type; it is not a model folder")
    if not any(folder.glob("*.safetensors")):
        found = "only pickle .bin weights" if any(folder.glob("*.bin")) else "no weights"
        raise BadInput(f"{folder} holds {found}; save the model as safetensors")


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and warnings of the library's: what matters of them becomes an error."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
