"""What reinforcement learning trains: a policy, a critic's value head, and the policy's reference.

All that is asked of them goes through one module's forward pass, so that the module can be sharded
over processes (`train.sharding`), and one module's parameters are what a checkpoint holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from webfarer.policy.model import load_model, pick_device
from webfarer.train.adapters import Adapters, Merged, Reference, Stateful, add_adapters
from webfarer.train.attention import choose_way
from webfarer.train.memory import enable_checkpointing
from webfarer.train.pack import Packed
from webfarer.train.processes import Ranks
from webfarer.train.scorer import Scorer
from webfarer.train.sharding import shard
from webfarer.types import RlSettings


class Found(NamedTuple):
    """Of a row's trained tokens, float32, shape N: log-probabilities; with a critic, values before
    them; and where the loss has such a term, the entropy of the distributions they are from."""

    logprobs_N: Tensor
    values_N: Tensor | None
    entropy_N: Tensor | None


class Scored(nn.Module):
    """A policy and, for an algorithm with a critic, its value head. The policy's layers are
    computed in bfloat16 by setting; weights are in float32."""

    def __init__(self, scorer: Scorer, critic: bool, bf16: bool, entropy: bool = False) -> None:
        super().__init__()
        self.policy = scorer.model
        self.value = value_head(scorer.model) if critic else None
        self._scorer, self._bf16, self._entropy = scorer, bf16, entropy

    def forward(self, row: Packed) -> Found:
        """What the row's trained tokens are scored with."""
        entropy = self._entropy and torch.is_grad_enabled()  # a term of the loss, and nothing else
        with torch.autocast(row.tokens_T.device.type, torch.bfloat16, enabled=self._bf16):
            if self.value is None:
                logprobs_N, entropy_N = self._scorer.scores(row, entropy)
                return Found(logprobs_N, None, entropy_N)
            hidden_NH = self._scorer.hidden(row)
            logprobs_N, entropy_N = self._scorer.of_hidden(hidden_NH, row.targets_N, entropy)
        return Found(logprobs_N, self.value(hidden_NH.float()).sum(dim=1), entropy_N)

    @property
    def chunked(self) -> bool:
        """See `Scorer.chunked`."""
        return self._scorer.chunked

    def logprobs(self, row: Packed) -> Tensor:
        """The first of them."""
        return self(row).logprobs_N

    def shard(self, size: int, kind: str) -> None:
        """Over that many processes and their devices of that kind."""
        shard(self, self.value, size, kind, self._bf16)
        self._bf16 = False  # autocast would keep a copy of all weights in each process


class Trained(NamedTuple):
    """`reference` scores with the first weights, where there is a KL term."""

    scored: Scored
    reference: Scored | Reference | None
    adapters: Adapters | None
    device: torch.device
    sharded: bool

    @property
    def weights(self) -> Stateful:
        """What an engine takes: the model, or its shards gathered and its adapters merged."""
        model = self.scored.policy
        return Merged(model) if self.adapters or self.sharded else model


def load_trained(
    settings: RlSettings, source: Path | str, critic: bool, device: str, ranks: Ranks, seed: int
) -> Trained:
    """The model of a folder or hub id, ready to be trained. Raises BadInput where it cannot be."""
    sharded = settings.shard and ranks.size > 1
    place, bf16 = pick_device(device), settings.precision == "bf16"
    model = load_model(source, "float32", "cpu" if sharded else str(place))
    adapters = add_adapters(model, settings, seed)
    if settings.checkpointing:
        enable_checkpointing(model)
    scorer = Scorer(model, choose_way(model), settings.temperature)
    scored = Scored(scorer, critic, bf16, settings.entropy != 0.0)
    reference: Scored | Reference | None = None
    if settings.kl and adapters:
        reference = Reference(scored, adapters)
    elif settings.kl:
        first = load_model(source, "float32", "cpu" if sharded else str(place))
        reference = Scored(Scorer(first, choose_way(first), settings.temperature), False, bf16)
    for each in (scored, reference) if sharded else ():
        if isinstance(each, Scored):
            each.shard(ranks.size, place.type)
    return Trained(scored, reference, adapters, place, sharded)


def value_head(model: nn.Module) -> nn.Linear:
    """A linear layer from hidden states to a value, 0 at first: a new critic expects nothing."""
    config: Any = model.config
    head = nn.Linear(config.get_text_config().hidden_size, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head.to(next(model.parameters()).device)
