"""What the local engine can serve: models with full attention over a plain cache, and which
prompts.

The engine places every token itself. A model that forgets (sliding windows, recurrent states),
or whose keys depend on how long the sequence grows (dynamic rotary scaling), would be silently
wrong, so it is refused. What the configuration does not tell, a small probe does.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedConfig, PreTrainedModel

from webfarer.policy.cache import SlotCache
from webfarer.policy.engine import Sampling
from webfarer.types import BadInput

_NEEDED = ("input_ids", "attention_mask", "position_ids", "past_key_values")
_PROBE = 7  # tokens of the longer probe sequence


def check_model(model: PreTrainedModel, context: int) -> None:
    """Raises BadInput where the engine would be wrong for the model, or the context too long."""
    reason = _refusal(model, context)
    if reason is None:
        try:
            off = probe(model)
        except (TypeError, AttributeError, NotImplementedError, ValueError, RuntimeError) as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            reason = f"it does not run over the engine's cache ({said})"
        else:
            limit = 1e-3 if model.dtype == torch.float32 else 0.25
            if not off <= limit:
                reason = f"its cached log-probabilities are off by {off:.2g}"
    if reason is not None:
        name = type(model).__name__
        raise BadInput(f"the local engine cannot run {name}: {reason}; use another model or engine")


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
def probe(model: PreTrainedModel) -> float:
    """The mean difference in log-probability between a ragged cached run and a plain one."""
    config = model.config.get_text_config()
    device = model.device
    tokens_BT = (np.arange(2 * _PROBE).reshape(2, _PROBE) * 37 + 11) % config.vocab_size
    lengths_B = np.array([_PROBE, _PROBE - 3])
    cache = SlotCache(config.num_hidden_layers, device)
    cache.reshape(2, _PROBE, [])
    rows = np.array([1, 0])
    off = 0.0
    with evaluating(model):
        for start_B, end_B in ((lengths_B * 0, lengths_B - 1), (lengths_B - 1, lengths_B)):
            steps = int((end_B - start_B).max())
            positions_BT = cache.begin(rows, start_B, end_B, steps)
            ids_BT = torch.from_numpy(np.take_along_axis(tokens_BT, positions_BT.numpy(), 1))
            logits_BTV = model(
                input_ids=ids_BT.to(device),
                attention_mask=cache.mask(model.dtype),
                position_ids=positions_BT.to(device),
                past_key_values=cache,
                use_cache=True,
            ).logits
        for row, length in enumerate(lengths_B.tolist()):
            plain = model(input_ids=torch.from_numpy(tokens_BT[row : row + 1, :length]).to(device))
            want = plain.logits[0, -1].float().log_softmax(-1)
            got = logits_BTV[row, -1].float().log_softmax(-1)
            off = max(off, float((want - got).abs().mean()))
    return off


class evaluating:  # noqa: N801  (a context manager, used as a verb)
    """Puts a model in evaluation mode for a while: it may be one that is being trained."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._training = model.training

    def __enter__(self) -> None:
        if self._training:
            self._model.eval()

    def __exit__(self, *_: object) -> None:
        if self._training:
            self._model.train()


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
