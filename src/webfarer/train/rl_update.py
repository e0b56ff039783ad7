"""The update of a step: mini-batches of whole groups, each an optimiser step over micro-batches.

With one mini-batch the old log-probabilities are the current ones, detached, at no cost; with more
they are computed before the first and frozen. Normalisers are those of the whole mini-batch, known
before its first micro-batch, so that sums add up to the loss whatever the micro-batches are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from webfarer.algo import (
    Algorithm,
    kl,
    surrogate,
    truncated_importance,
    value_loss,
    weighted_sum,
)
from webfarer.train.pack import Packed
from webfarer.train.rl_batch import StepBatch, micro_batches, mini_batches
from webfarer.train.scorer import Scorer
from webfarer.types import RlSettings, WebfarerError, random_for, seed_for

_VALUE_CLIP, _VALUE_SHARE = 0.2, 0.5


@dataclass
class Update:
    """What an update was: sums while it is made, means in `numbers`."""

    trained: int = 0
    loss: float = 0.0
    grad_norm: float = 0.0
    lr: float = 0.0
    entropy: float = 0.0
    kl: float = 0.0
    held_low: float = 0.0
    held_high: float = 0.0
    gap: float = 0.0
    gap_most: float = 0.0
    note: str = ""
    steps: int = field(default=0, repr=False)

    def numbers(self) -> dict[str, Any]:
        """The means: over trained tokens, and over optimiser steps for loss and gradient norm."""
        found = asdict(self)
        del found["note"]
        steps, tokens = max(1, found.pop("steps")), max(1, self.trained)
        for name in ("loss", "grad_norm"):
            found[name] /= steps
        for name in ("entropy", "kl", "held_low", "held_high", "gap"):
            found[name] /= tokens
        return found


class Updater:
    """Model, optimiser and, for an algorithm with a critic, the value head."""

    def __init__(
        self,
        settings: RlSettings,
        row: Algorithm,
        scorer: Scorer,
        reference: Scorer | None = None,
    ) -> None:
        self._settings, self._row = settings, row
        self._scorer, self._reference = scorer, reference
        self.model = scorer.model
        self.device = next(self.model.parameters()).device
        self.value = value_head(self.model) if row.critic else None
        parts = {"policy": self.model, **({"value": self.value} if self.value else {})}
        self.trained = nn.ModuleDict(parts)  # what a checkpoint has to hold
        self._parameters = [p for p in self.trained.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self._parameters, lr=settings.learning_rate, betas=settings.betas,
            weight_decay=settings.weight_decay, fused=True,
        )  # fmt: skip

    def update(self, step_batch: StepBatch, step: int, seed: int) -> Update:
        """One step's updates. Raises WebfarerError where the loss or its gradient is no number;
        the weights are then those before the optimiser step."""
        torch.manual_seed(seed_for("rl", seed, step))  # for models with dropout
        settings, batch, done = self._settings, step_batch.batch, Update()
        lots = mini_batches(batch.group_B, settings.mini_batches, random_for("rl lots", seed, step))
        frozen = len(lots) > 1 or self._row.critic or self._reference is not None
        constants = self._constants(step_batch) if frozen else {}
        self.model.eval()  # what was sampled was sampled without dropout
        for group in self.optimizer.param_groups:
            group["lr"] = done.lr = self._rate(step)
        for lot in lots:
            self._mini(step_batch, lot, constants, done)
        return done

    def _rate(self, step: int) -> float:
        return self._settings.learning_rate * min(1.0, (step + 1) / max(1, self._settings.warmup))

    @torch.no_grad()
    def _constants(self, data: StepBatch) -> dict[str, Tensor]:
        """What is computed once for the step: old log-probabilities, those of the reference,
        values; and from values the advantages and returns."""
        batch = data.batch
        found = {"old": torch.zeros_like(batch.engine_logprobs_BT)}
        if self._reference:
            found["reference"] = torch.zeros_like(found["old"])
        if self.value is not None:
            found["value"] = torch.zeros_like(found["old"])
        for places in self._micro(data, range(len(data.segments))):
            row = data.row(places).to(self.device)
            logprobs_N, values_N = self._scores(row)
            data.spread(logprobs_N.cpu(), places, found["old"])
            if self._reference:
                data.spread(self._reference.logprobs(row).cpu(), places, found["reference"])
            if values_N is not None:
                data.spread(values_N.cpu(), places, found["value"])
        if self.value is not None:
            found["advantage"], returns_BT = self._row.advantage(
                data.rewards_B, batch.group_B, batch.mask_BT, found["value"]
            )
            assert returns_BT is not None, "an algorithm with a critic has returns"
            found["return"] = returns_BT
        return found

    def _scores(self, row: Packed) -> tuple[Tensor, Tensor | None]:
        bf16 = self._settings.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            if self.value is None:
                return self._scorer.logprobs(row), None
            hidden_NH = self._scorer.hidden(row)
            logprobs_N = self._scorer.of_hidden(hidden_NH, row.targets_N)
            return logprobs_N, self.value(hidden_NH.float())[:, 0]

    def _micro(self, data: StepBatch, places: Sequence[int]) -> list[list[int]]:
        lengths = [len(segment) for segment in data.segments]
        return micro_batches(lengths, places, self._settings.micro_tokens)

    def _mini(
        self, data: StepBatch, lot: Sequence[int], constants: dict[str, Tensor], done: Update
    ) -> None:
        """One optimiser step."""
        at = torch.tensor(lot)
        batch = data.batch
        weight_B = torch.zeros(len(data.segments))
        weight_B[at] = self._row.aggregate(
            data.lengths_B[at], batch.weight_B[at], batch.group_B[at]
        )
        normaliser = float((weight_B[at] * data.lengths_B[at]).sum())
        loss = 0.0
        for places in self._micro(data, lot):
            share = self._loss(data, places, weight_B, constants, done) / normaliser
            share.backward()
            loss += float(share.detach())
        norm = float(nn.utils.clip_grad_norm_(self._parameters, self._settings.clip))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.optimizer.zero_grad(set_to_none=True)
            raise WebfarerError(
                f"loss {loss}, gradient norm {norm}: lower learning_rate (now "
                f"{self._settings.learning_rate:g}) or use float32; the last checkpoint is kept"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        done.loss, done.grad_norm, done.steps = (
            done.loss + loss,
            done.grad_norm + norm,
            done.steps + 1,
        )

    def _loss(
        self,
        data: StepBatch,
        places: Sequence[int],
        weight_B: Tensor,
        constants: dict[str, Tensor],
        done: Update,
    ) -> Tensor:
        """The weighted sum over a packed row's trained tokens, not yet divided."""

        def picked(tensor_BT: Tensor) -> Tensor:
            return data.picked(tensor_BT, places)[None].to(self.device)

        logprobs_N, values_N = self._scores(data.row(places).to(self.device))
        new_1N = logprobs_N[None]
        mask_1N = torch.ones_like(new_1N)
        engine_1N = picked(data.batch.engine_logprobs_BT)
        old_1N = picked(constants["old"]) if constants else new_1N.detach()
        advantages_1N = picked(constants.get("advantage", data.batch.advantages_BT))
        importance_1N = None
        if self._settings.importance_cap is not None:
            cap = self._settings.importance_cap
            importance_1N = truncated_importance(old_1N, engine_1N, mask_1N, cap)
        found = surrogate(new_1N, old_1N, advantages_1N, mask_1N, self._row.clip, importance_1N)
        loss_1N = found.loss_BT
        if "reference" in constants:
            away_1N = kl(new_1N, picked(constants["reference"]), mask_1N)
            loss_1N = loss_1N + self._settings.kl * away_1N
            done.kl += float(away_1N.detach().sum())
        if values_N is not None:
            error_1N = value_loss(
                values_N[None], picked(constants["value"]), picked(constants["return"]), mask_1N,
                _VALUE_CLIP,
            )  # fmt: skip
            loss_1N = loss_1N + _VALUE_SHARE * error_1N
        gap_1N = (old_1N - engine_1N).abs()
        done.trained += gap_1N.numel()
        done.gap += float(gap_1N.sum())
        done.gap_most = max(done.gap_most, float(gap_1N.max()))
        done.entropy -= float(engine_1N.sum())
        done.held_low += float(found.held_low_BT.sum())
        done.held_high += float(found.held_high_BT.sum())
        sizes = data.lengths_B[torch.tensor(places)]
        weight_1N = weight_B[torch.tensor(places)].repeat_interleave(sizes)[None].to(self.device)
        return weighted_sum(loss_1N * weight_1N, mask_1N, torch.ones(1, device=self.device))[0]


def value_head(model: nn.Module) -> nn.Linear:
    """A linear layer from hidden states to a value, 0 at first: a new critic expects nothing."""
    config: Any = model.config
    head = nn.Linear(config.get_text_config().hidden_size, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head.to(next(model.parameters()).device)
