"""LoRA: a few small matrices are trained beside frozen weights (Hu et al. 2021), by `peft`.

A linear layer W of the base model becomes W + (alpha / rank) B A; B is zero at first. The model
that was given stays the object that everything else holds: its layers are replaced in place, its
forward pass, body and output layer are where they were. Nothing is merged into it while it is
trained: an engine is given the sums (`weights_of`), under the names and shapes of the base model,
and the base model itself, adapters off, is the reference of a KL term (`Adapters.off`).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from webfarer.store import folder
from webfarer.train.sharding import whole
from webfarer.types import BadInput, seed_for

_BASE = ".base_layer"
_ADAPTER = "default"  # peft's name for the one adapter that there is


class LoraSettings(Protocol):
    """What a run's settings say of adapters; `lora_rank` 0 is none."""

    @property
    def lora_rank(self) -> int: ...
    @property
    def lora_alpha(self) -> float: ...
    @property
    def lora_targets(self) -> str: ...


class Adapters:
    """The adapters of one model, which are all that is trained of it."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def off(self) -> Any:
        """A context in which the model is the base model again."""
        return self._wrapped.disable_adapter()

    def save(self, out: Path, writes: bool = True) -> None:
        """Writes them as `PeftModel.from_pretrained(base, out)` reads them. Of several processes
        all take part, and one `writes`."""
        state = self._wrapped.state_dict()
        state = {name: whole(part) for name, part in state.items() if ".lora_" in name}
        if not writes:
            return
        with folder(out) as building:
            self._wrapped.save_pretrained(building, state_dict=state)
            (building / "README.md").unlink(missing_ok=True)  # a model card with nothing in it


def add_adapters(model: nn.Module, settings: LoraSettings, seed: int) -> Adapters | None:
    """Freezes the model and puts adapters, in float32, beside its linear layers; None at rank 0.

    `lora_targets` is "all-linear" (all of them but the output layer) or names of layers, separated
    by commas. The first values are keyed by `seed`. Raises BadInput where the targets name no
    linear layer of the model or one that shares its weights, and where peft is not installed.
    """
    if not settings.lora_rank:
        return None
    try:
        import peft
    except ImportError as error:
        raise BadInput("lora_rank needs peft: pip install -e '.[train]'") from error
    targets: Any = [name.strip() for name in settings.lora_targets.split(",")]
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,  # pyright: ignore[reportArgumentType] - a float is as good
        target_modules=targets[0] if targets == ["all-linear"] else targets,
        lora_dropout=0.0,  # what is sampled and what is trained have to be the same model
    )
    shared = _shared(model)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a layer of GPT-2's is stored transposed
        torch.manual_seed(seed_for("lora", seed))
        try:
            wrapped = peft.get_peft_model(model, config)  # pyright: ignore[reportArgumentType]
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"lora_targets {settings.lora_targets!r}: {reason}") from error
    _check(model, shared, settings.lora_targets)
    return Adapters(wrapped)


def _shared(model: nn.Module) -> set[int]:
    """The weights that more than one layer uses, as tied embeddings are."""
    uses = Counter(id(own) for part in model.modules() for own in part.parameters(recurse=False))
    return {one for one, count in uses.items() if count > 1}


def _check(model: nn.Module, shared: set[int], targets: str) -> None:
    """An adapter beside one of two uses of a weight could not be merged into that weight."""
    named = model.named_parameters(remove_duplicate=False)
    weights = {name.replace(_BASE, ""): weight for name, weight in named}
    for name, layer in _layers(model).items():
        if isinstance(layer.base_layer, nn.Embedding) or id(weights[name]) in shared:
            raise BadInput(
                f"lora_targets {targets!r}: {name} is no linear layer with weights of its own"
            )


def _layers(model: nn.Module) -> dict[str, Any]:
    """What peft put around layers, by the names that their weights had before. Where a layer holds
    the weights of several experts, there is one for each of its parameters."""
    return {
        f"{name.replace(_BASE, '')}.{getattr(part, 'parameter_name', None) or 'weight'}": part
        for name, part in model.named_modules()
        if hasattr(part, "base_layer") and hasattr(part, "get_delta_weight")
    }


@torch.no_grad()
def weights_of(model: nn.Module) -> Mapping[str, Tensor]:
    """The model's weights as one without adapters has them: names and shapes of the base model.

    Merged matrices are new tensors, in float32; all others are the model's own. The model is as it
    was. Without adapters this is its `state_dict`. What is sharded over processes is gathered, on
    the CPU: all of them call this.
    """
    layers = _layers(model)
    state: dict[str, Tensor] = {}
    gathered: dict[int, Tensor] = {}  # what two layers share is gathered once, and stays shared
    for name, own in model.state_dict(keep_vars=True).items():
        if ".lora_" in name:
            continue
        plain = name.replace(_BASE, "")
        if plain in layers:
            state[plain] = whole(own.float() + layers[plain].get_delta_weight(_ADAPTER).float())
            continue
        if id(own) not in gathered:
            gathered[id(own)] = whole(own.detach())
        state[plain] = gathered[id(own)]
    return state


class Stateful(Protocol):
    """What an engine can take weights of."""

    def state_dict(self) -> Mapping[str, Tensor]: ...


class Merged:
    """What an engine takes of a model: `state_dict` gives its weights, adapters merged."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def state_dict(self) -> Mapping[str, Tensor]:
        return weights_of(self._model)


class Scores(Protocol):
    def logprobs(self, row: Any) -> Tensor: ...


class Reference:
    """Scores rows with the base model under the adapters: no second copy of it is held."""

    def __init__(self, scorer: Scores, adapters: Adapters) -> None:
        self._scorer, self._adapters = scorer, adapters

    def logprobs(self, row: Any) -> Tensor:
        """As `Scorer.logprobs`, the adapters off."""
        with self._adapters.off():
            return self._scorer.logprobs(row)
