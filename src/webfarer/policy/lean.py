"""The Llama family's forward pass over a packed `SlotCache`, and nothing else.

For a small model on a CPU most of a decoding step is what surrounds its sums: modules that call
modules, options that are off, tensors turned round and back. This is the same pass as functions of
the model's own weights, for the families that share it (Llama, Mistral, Qwen2, Qwen3). As with any
other way the engine has, a probe compares it with the model's own before it is used.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere
from transformers import PreTrainedModel

from webfarer.policy.attend import over_spans
from webfarer.policy.cache import SlotCache

_FAMILIES = frozenset(
    {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
)
_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Lean:
    """A model's forward pass. Its weights are read where they lie, so they may change in place."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Raises ValueError for a model of another family, or one whose layers were replaced."""
        if type(model).__name__ not in _FAMILIES:
            raise ValueError(f"{type(model).__name__} has a forward pass of its own")
        body: Any = model.model
        for layer in body.layers:
            parts = {**dict(layer.self_attn.named_children()), **dict(layer.mlp.named_children())}
            changed = [name for name in _LINEAR if type(parts[name]) is not nn.Linear]
            if changed:
                raise ValueError(f"its {changed[0]} is a {type(parts[changed[0]]).__name__}")
        self._body = body
        self._layers = [_Layer(layer) for layer in body.layers]
        self._head: nn.Module = model.lm_head  # pyright: ignore[reportAttributeAccessIssue]

    def __call__(self, cache: SlotCache, ids_1N: Tensor, at_1N: Tensor, last_B: Tensor) -> Tensor:
        """Feeds the ids of the cache's step, at positions `at`; the logits (B, V) of the last."""
        x_ND = F.embedding(ids_1N[0], self._body.embed_tokens.weight)
        turn = self._turn(x_ND, at_1N)
        for number, layer in enumerate(self._layers):
            x_ND = layer(x_ND, turn, cache, number)
        return self._head(_normed(self._body.norm, x_ND[last_B]))

    def _turn(self, x_ND: Tensor, at_1N: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine (N, 1, head_dim) of the rotary embedding at the positions, the first
        half of the sine negative: what it multiplies changes places with what the second does."""
        cos_1NE, sin_1NE = self._body.rotary_emb(x_ND, at_1N)
        first_1NF, second_1NF = sin_1NE.chunk(2, dim=-1)
        sin_1NE = torch.cat((-first_1NF, second_1NF), dim=-1)
        return cos_1NE[0, :, None], sin_1NE[0, :, None]


class _Layer:
    def __init__(self, layer: Any) -> None:
        self._before, self._after = layer.input_layernorm, layer.post_attention_layernorm
        self._mlp, self._own = layer.mlp, layer.self_attn
        self._q_norm = getattr(layer.self_attn, "q_norm", None)
        self._k_norm = getattr(layer.self_attn, "k_norm", None)

    def __call__(
        self, x_ND: Tensor, turn: tuple[Tensor, Tensor], cache: SlotCache, number: int
    ) -> Tensor:
        own, mlp = self._own, self._mlp
        h_ND = _normed(self._before, x_ND)
        shape = (len(h_ND), -1, own.head_dim)
        q_NHE, k_NKE = (_linear(each, h_ND).view(shape) for each in (own.q_proj, own.k_proj))
        v_NKE = _linear(own.v_proj, h_ND).view(shape)
        if self._q_norm is not None:
            q_NHE, k_NKE = _normed(self._q_norm, q_NHE), _normed(self._k_norm, k_NKE)
        q_NHE, k_NKE = _turned(q_NHE, *turn), _turned(k_NKE, *turn)
        k_RKTE, v_RKTE = cache.write(number, k_NKE, v_NKE)
        out_NHE = over_spans(q_NHE, k_RKTE, v_RKTE, cache.step.spans or [], own.scaling)
        x_ND = x_ND + _linear(own.o_proj, out_NHE.flatten(1).to(x_ND.dtype))
        h_ND = _normed(self._after, x_ND)
        gate_NF = mlp.act_fn(_linear(mlp.gate_proj, h_ND))
        return x_ND + _linear(mlp.down_proj, gate_NF.mul_(_linear(mlp.up_proj, h_ND)))


def _linear(module: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, module.weight, module.bias)


def _normed(norm: Any, x: Tensor) -> Tensor:
    """The root-mean-square norm, in float32 as the families have it."""
    if x.dtype == torch.float32:
        return F.rms_norm(x, x.shape[-1:], norm.weight, norm.variance_epsilon)
    plain = F.rms_norm(x.float(), x.shape[-1:], None, norm.variance_epsilon)
    return norm.weight * plain.to(x.dtype)


def _turned(x_NHE: Tensor, cos_N1E: Tensor, sin_N1E: Tensor) -> Tensor:
    """Rotary position embedding of halves (Su et al. 2021, as the families have it)."""
    return x_NHE * cos_N1E + x_NHE.roll(x_NHE.shape[-1] // 2, -1) * sin_N1E
