"""What the local engine can serve: models with full attention over a plain cache, and which
prompts.

The engine places every token itself. A model that forgets (sliding windows, recurrent states),
or whose keys depend on how long the sequence grows (dynamic rotary scaling), would be silently
wrong, so it is refused. What the configuration does not tell, a small probe does.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from webfarer.policy.attend import attending
from webfarer.policy.cache import SlotCache
from webfarer.policy.engine import Sampling
from webfarer.policy.lean import Lean
from webfarer.types import BadInput

_NEEDED = ("input_ids", "attention_mask", "position_ids", "past_key_values")
_PROBE = 7  # tokens of the longer probe sequence


class Forward:
    """How the engine runs a model: packed or padded, through its own modules or a `Lean` pass."""

    def __init__(self, model: PreTrainedModel, *, packed: bool, lean: Lean | None = None) -> None:
        self.model, self.packed, self.lean = model, packed, lean
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters

    def __call__(self, cache: SlotCache, ids: np.ndarray) -> Tensor:
        """Feeds the ids that the cache's step asks for; logits (B, V) of each sequence's last."""
        step, device = cache.step, self.model.device
        ids_BT, at_BT = (torch.from_numpy(array).to(device) for array in (ids, step.at))
        last_B = torch.from_numpy(step.last_B).to(device) if self.packed else 1
        if self.lean is not None:
            return self.lean(cache, ids_BT, at_BT, last_B)  # pyright: ignore[reportArgumentType]
        logits_BTV = self.model(
            input_ids=ids_BT,
            position_ids=at_BT,
            past_key_values=cache,
            use_cache=True,
            **cache.sight(self.model.dtype),
            **({"logits_to_keep": last_B} if self._keeps else {}),
        ).logits
        if not self.packed:
            return logits_BTV[:, -1]
        return logits_BTV[0] if self._keeps else logits_BTV[0, last_B]


def check_model(model: PreTrainedModel, context: int) -> Forward:
    """The fastest way of the engine's that gives what the model gives.

    Packing is measured on a CPU alone, so elsewhere a model attends in its own way. Raises BadInput
    where the engine would be wrong for the model, or the context too long.
    """
    reason = _refusal(model, context)
    if reason is None:
        for way in _ways(model):
            reason = _fault(way)
            if reason is None:
                return way
    name = type(model).__name__
    raise BadInput(f"the local engine cannot run {name}: {reason}; use another model or engine")


def _ways(model: PreTrainedModel) -> Iterator[Forward]:
    if model.device.type == "cpu":
        with suppress(ValueError):
            yield Forward(model, packed=True, lean=Lean(model))
        yield Forward(model, packed=True)
    yield Forward(model, packed=False)


def _fault(way: Forward) -> str | None:
    """What is wrong with the model run so over the engine's cache, or None."""
    try:
        off = probe(way)
    except (TypeError, AttributeError, NotImplementedError, ValueError, RuntimeError) as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        return f"it does not run over the engine's cache ({said})"
    limit = 1e-3 if way.model.dtype == torch.float32 else 0.25
    return None if off <= limit else f"its cached log-probabilities are off by {off:.2g}"


def _refusal(model: PreTrainedModel, context: int) -> str | None:
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or _kind(window, config))
    if window and window >= context:  # never reached, so it is full attention
        kinds.discard("sliding_attention")
    if kinds - {"full_attention"}:
        return f"it has layers of type {', '.join(sorted(kinds - {'full_attention'}))}"
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") in ("dynamic", "longrope"):
        return f"its rotary scaling ({rope['rope_type']}) changes with the length"
    if getattr(model, "_is_stateful", False) or model.config.is_encoder_decoder:
        return "it keeps a state other than keys and values"
    missing = [name for name in _NEEDED if name not in inspect.signature(model.forward).parameters]
    if missing:
        return f"its forward takes no {missing[0]}"
    longest = getattr(config, "max_position_embeddings", None)
    if longest and context > longest:
        return f"it has {longest} positions, fewer than the context of {context}"
    return None


def _kind(window: int | None, config: PreTrainedConfig) -> list[str]:
    """What the layers are, for a family whose configuration does not list them."""
    slides = window and getattr(config, "use_sliding_window", True)
    return ["sliding_attention" if slides else "full_attention"]


@torch.inference_mode()
def probe(way: Forward) -> float:
    """The mean difference in log-probability between a ragged cached run and a plain one.

    Tokens are fed as in a first pre-fill, one that goes on, and a decoding step.
    """
    model, config = way.model, way.model.config.get_text_config()
    tokens_BT = (np.arange(2 * _PROBE).reshape(2, _PROBE) * 37 + 11) % config.vocab_size
    lengths_B = np.array([_PROBE, _PROBE - 3])
    cache = SlotCache(config.num_hidden_layers, model.device, packed=way.packed)
    cache.reshape(2, _PROBE, [])
    bounds = [lengths_B * 0, lengths_B // 2, lengths_B - 1, lengths_B]
    logits_BV = torch.empty(0)
    with serving(model, way.packed):
        for start_B, end_B in pairwise(bounds):
            step = cache.begin(np.arange(2), start_B, end_B)
            logits_BV = way(cache, tokens_BT[step.which, step.at])
    off = 0.0
    with serving(model, packed=False):
        for row, length in enumerate(lengths_B.tolist()):
            ids = torch.from_numpy(tokens_BT[row : row + 1, :length]).to(model.device)
            want_V = model(input_ids=ids).logits[0, -1].float().log_softmax(-1)
            got_V = logits_BV[row].float().log_softmax(-1)
            off = max(off, float((want_V - got_V).abs().mean()))
    return off


@contextmanager
def serving(model: PreTrainedModel, packed: bool) -> Iterator[None]:
    """The model in evaluation mode, and attending by spans where it is `packed`, for a while: it
    may be one that is being trained."""
    training = model.training
    if training:
        model.eval()
    try:
        with attending(model) if packed else nullcontext():
            yield
    finally:
        if training:
            model.train()


def as_prompt(
    prompt_ids: Sequence[int], sampling: Sampling, vocabulary: int, context: int
) -> np.ndarray:
    """The prompt as an array. Raises ValueError where it, or the sampling, cannot be served."""
    prompt = np.asarray(prompt_ids, dtype=np.int64)
    if prompt.ndim != 1 or not len(prompt):
        raise ValueError("the prompt is empty")
    if prompt.min() < 0 or prompt.max() >= vocabulary:
        raise ValueError(f"the prompt holds an id outside the vocabulary of {vocabulary}")
    if sampling.max_tokens < 1:
        raise ValueError(f"max_tokens is {sampling.max_tokens}; it must be positive")
    if len(prompt) + sampling.max_tokens > context:
        raise ValueError(
            f"prompt of {len(prompt)} and max_tokens {sampling.max_tokens} do not fit the "
            f"context of {context}"
        )
    if sampling.temperature < 0 or not 0 < sampling.top_p <= 1 or sampling.top_k < 0:
        raise ValueError(f"cannot sample with {sampling}")
    return prompt.astype(np.int32)


def out_of_memory(error: Exception) -> bool:
    """PyTorch has an error of its own for a GPU's memory; for the CPU's it is a RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
