"""Checkpoints: trained weights, optimiser state and step in one safetensors file, written whole.

Nothing in one can run code when it is read. There is no random state: the order of the data and
every random choice are keyed by the step. A checkpoint carries the key of its run (settings, data,
first weights), so that it is never continued by another.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from webfarer.store.atomic import replacing
from webfarer.train.sharding import like, whole
from webfarer.types import BadInput

_FORMAT = "webfarer-checkpoint-1"


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    key: str,
    writes: bool = True,
) -> None:
    """Writes what is needed to go on after `step` steps. Raises WebfarerError on a full disk.

    Of several processes all take part, for what is sharded is gathered, and one `writes`."""
    names = _trained(model)
    tensors = {f"model.{name}": whole(value.detach()) for name, value in names.items()}
    for name, parameter in names.items():
        for part, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{part}.{name}"] = whole(torch.as_tensor(value))
    if not writes:
        return
    header = {"format": _FORMAT, "key": key, "step": str(step)}
    with replacing(path) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, header)


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, key: str
) -> int:
    """Puts weights and optimiser state back and returns the number of steps done; 0 with no file.

    Raises BadInput where the file is corrupt, is no checkpoint, or belongs to another run.
    """
    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            step = _step(path, file.metadata() or {}, key)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _restore(model, optimizer, tensors)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            f"{path} is not a readable checkpoint ({reason}): remove it to begin again"
        ) from error
    return step


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Without those that are frozen, which the run's first weights have."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def _step(path: Path, header: dict[str, str], key: str) -> int:
    if header.get("format") != _FORMAT:
        raise BadInput(
            f"{path} is a safetensors file but no checkpoint: remove it, or choose another folder"
        )
    if header["key"] != key:
        raise BadInput(
            f"{path} belongs to another run (settings, data or first weights differ): "
            "remove it to begin again, or choose another folder"
        )
    return int(header["step"])


def _restore(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    names = _trained(model)
    for name, parameter in names.items():
        with torch.no_grad():
            parameter.copy_(like(parameter, tensors[f"model.{name}"]))
    for full, value in tensors.items():
        kind, _, rest = full.partition(".")
        if kind == "optimizer":
            part, _, name = rest.partition(".")
            parameter = names[name]
            optimizer.state[parameter][part] = like(parameter, value)
