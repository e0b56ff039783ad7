"""The update of a step: mini-batches of whole groups, each an optimiser step over micro-batches.

With one mini-batch the old log-probabilities are the current ones, detached, at no cost; with more
they are computed before the first and frozen. Normalisers are those of the whole mini-batch, known
before its first micro-batch, so that sums add up to the loss whatever the micro-batches are
(gradient accumulation), and a mini-batch that memory does not suffice for begins again with smaller
ones (`train.memory`). The same holds of processes: each takes a share of a mini-batch's sequences,
and gradients are summed over all of them (`train.processes`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
    warmup_cosine,
    weighted_sum,
)
from webfarer.policy.support import out_of_memory
from webfarer.train.memory import Lot, Room
from webfarer.train.pack import Packed
from webfarer.train.processes import Ranks, dealt
from webfarer.train.rl_batch import StepBatch, micro_batches, mini_batches
from webfarer.train.scored import Trained
from webfarer.train.sharding import whole
from webfarer.types import RlSettings, WebfarerError, random_for, seed_for

_VALUE_CLIP, _VALUE_SHARE = 0.2, 0.5
_SUMS = (
    "trained", "loss", "grad_norm", "entropy", "kl", "held_low", "held_high", "gap", "steps",
    "compared",
)  # fmt: skip


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
    compared: int = field(default=0, repr=False)

    def compare(self, trainer: Tensor, engine: Tensor) -> None:
        """Adds tokens whose log-probabilities both have."""
        gap = (trainer - engine).abs()
        self.compared += gap.numel()
        self.gap += float(gap.sum())
        self.gap_most = max(self.gap_most, float(gap.max()))
        self.entropy -= float(engine.sum())

    def add(self, other: Update) -> None:
        """Adds another's sums; what is no sum is the greater one, or the later."""
        self.gap_most = max(self.gap_most, other.gap_most)
        self.note = "; ".join(note for note in (self.note, other.note) if note)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def sum_over(self, ranks: Ranks) -> None:
        """Makes what was summed over this process's tokens the sums over all."""
        sums = ranks.sum(torch.tensor([getattr(self, name) for name in _SUMS], dtype=torch.double))
        for name, total in zip(_SUMS, sums.tolist(), strict=True):
            setattr(self, name, type(getattr(self, name))(total))

    def agree(self, ranks: Ranks) -> None:
        """Takes the greatest gap of any process and the notes of all."""
        said = ranks.gathered((self.gap_most, self.note))
        self.gap_most = max(gap for gap, _ in said)
        self.note = "; ".join(dict.fromkeys(note for _, note in said if note))

    def numbers(self) -> dict[str, Any]:
        """The means: over trained tokens, and over optimiser steps for loss and gradient norm. The
        gaps and the entropy are over the tokens that were compared, None where none was."""
        found = asdict(self)
        del found["note"]
        steps, compared = max(1, found.pop("steps")), found.pop("compared")
        for name in ("loss", "grad_norm"):
            found[name] /= steps
        for name in ("kl", "held_low", "held_high"):
            found[name] /= max(1, self.trained)
        for name in ("entropy", "gap"):
            found[name] /= max(1, compared)
        unknown = {} if compared else dict.fromkeys(("entropy", "gap", "gap_most"))
        return found | unknown


class Updater:
    """The optimiser over what is trained, and the loss of a step, shared out over processes."""

    def __init__(
        self,
        settings: RlSettings,
        row: Algorithm,
        model: Trained,
        ranks: Ranks,
    ) -> None:
        self._settings, self._row, self._ranks = settings, row, ranks
        self._reference, self._sharded = model.reference, model.sharded
        self.trained, self.device = model.scored, model.device
        self._room = Room(settings.micro_tokens, shrinks=not model.sharded)
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
        constants = self._constants(step_batch, done) if frozen else {}
        self.trained.eval()  # what was sampled was sampled without dropout
        for group in self.optimizer.param_groups:
            group["lr"] = done.lr = self._rate(step)
        for lot in lots:
            self._mini(step_batch, lot, constants, done)
        done.agree(self._ranks)
        return done

    @torch.no_grad()
    def look(self, data: StepBatch) -> Update:
        """Compares engine and trainer on some sequences, up to `micro_tokens` of them, where a step
        has nothing to learn from: nothing else would tell that the engine has other weights."""
        found = Update()
        lengths = [len(segment) for segment in data.segments]
        some = micro_batches(lengths, range(len(lengths)), self._settings.micro_tokens)[0]
        self.trained.eval()

        def compare(places: Lot) -> None:
            logprobs_N = self.trained(self._packed(data, places)).logprobs_N
            if places:
                found.compare(logprobs_N.cpu(), data.picked(data.batch.engine_logprobs_BT, places))

        def again() -> None:
            nonlocal found
            found = Update()

        found.note = self._micro(data, some, compare, again)
        found.sum_over(self._ranks)
        found.agree(self._ranks)
        return found

    def _rate(self, step: int) -> float:
        settings, peak = self._settings, self._settings.learning_rate
        warmup = min(settings.warmup, settings.steps)
        return warmup_cosine(step, warmup, settings.steps, peak, peak * settings.floor)

    @torch.no_grad()
    def _constants(self, data: StepBatch, done: Update) -> dict[str, Tensor]:
        """What is computed once for the step: old log-probabilities, those of the reference,
        values; and from values the advantages and returns."""
        batch = data.batch
        found = {"old": torch.zeros_like(batch.engine_logprobs_BT)}
        if self._reference:
            found["reference"] = torch.zeros_like(found["old"])
        if self._row.critic:
            found["value"] = torch.zeros_like(found["old"])

        def score(places: Lot) -> None:
            row = self._packed(data, places)
            logprobs_N, values_N, _ = self.trained(row)
            data.spread(logprobs_N.cpu(), places, found["old"])
            if self._reference:
                data.spread(self._reference.logprobs(row).cpu(), places, found["reference"])
            if values_N is not None:
                data.spread(values_N.cpu(), places, found["value"])

        done.note = self._micro(data, range(len(data.segments)), score, lambda: None)
        found = {name: self._ranks.sum(shared_BT) for name, shared_BT in found.items()}
        if self._row.critic:
            found["advantage"], returns_BT = self._row.advantage(
                data.rewards_B, batch.group_B, batch.mask_BT, found["value"]
            )
            assert returns_BT is not None, "an algorithm with a critic has returns"
            found["return"] = returns_BT
        return found

    def _packed(self, data: StepBatch, places: Lot) -> Packed:
        """The sequences' row; for none the shortest one's, for a pass that counts for nothing."""
        shortest = min(range(len(data.segments)), key=lambda place: len(data.segments[place]))
        return data.row(places or [shortest]).to(self.device)

    def _micro(
        self,
        data: StepBatch,
        places: Sequence[int],
        work: Callable[[Lot], None],
        again: Callable[[], None],
    ) -> str:
        """Does `work` on micro-batches of this process's share that memory suffices for: see
        `Room.fill`. Where weights are sharded, every pass takes all processes: those that have
        fewer micro-batches do the rest of them on nothing."""
        lengths = [len(segment) for segment in data.segments]
        shares = dealt(lengths, places, self._ranks.size)

        def split(tokens: int) -> list[list[int]]:
            if not self._sharded:
                return micro_batches(lengths, shares[self._ranks.rank], tokens)
            lots = [micro_batches(lengths, share, tokens) for share in shares]
            mine, most = lots[self._ranks.rank], max(map(len, lots))
            return mine + [[]] * (most - len(mine))

        return self._room.fill(split, lengths, work, again)

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
        mine = Update()

        def learn(places: Lot) -> None:
            share = self._loss(data, places, weight_B, constants, mine) / normaliser
            share.backward()
            mine.loss += float(share.detach())

        def again() -> None:
            nonlocal mine
            mine = Update()
            self.optimizer.zero_grad(set_to_none=True)

        mine.note = self._micro(data, lot, learn, again)
        self._ranks.sum_gradients(self._parameters)
        mine.sum_over(self._ranks)
        norm = float(whole(nn.utils.clip_grad_norm_(self._parameters, self._settings.clip)))
        if not (math.isfinite(mine.loss) and math.isfinite(norm)):
            self.optimizer.zero_grad(set_to_none=True)
            raise WebfarerError(
                f"loss {mine.loss}, gradient norm {norm}: train in another folder with a lower "
                f"learning_rate (now {self._settings.learning_rate:g}) or in float32"
            )
        try:
            self.optimizer.step()
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise WebfarerError(
                "memory does not suffice for the optimiser's state: train adapters "
                "(rl.lora_rank=16), or in several processes with rl.shard=true"
            ) from error
        self.optimizer.zero_grad(set_to_none=True)
        mine.grad_norm, mine.steps = norm, 1
        done.add(mine)

    def _loss(
        self,
        data: StepBatch,
        places: Lot,
        weight_B: Tensor,
        constants: dict[str, Tensor],
        done: Update,
    ) -> Tensor:
        """The weighted sum over a packed row's trained tokens, not yet divided."""

        def picked(tensor_BT: Tensor) -> Tensor:
            return data.picked(tensor_BT, places)[None].to(self.device)

        logprobs_N, values_N, entropy_N = self.trained(self._packed(data, places))
        if not places:
            return 0.0 * (logprobs_N.sum() if values_N is None else (logprobs_N + values_N).sum())
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
        if entropy_N is not None:
            loss_1N = loss_1N - self._settings.entropy * entropy_N[None]
        done.trained += old_1N.numel()
        done.compare(old_1N, engine_1N)
        done.held_low += float(found.held_low_BT.sum())
        done.held_high += float(found.held_high_BT.sum())
        sizes = data.lengths_B[torch.tensor(places)]
        weight_1N = weight_B[torch.tensor(places)].repeat_interleave(sizes)[None].to(self.device)
        return weighted_sum(loss_1N * weight_1N, mask_1N, torch.ones(1, device=self.device))[0]
