"""Cold start: supervised fine-tuning on what the policy wrote, observations masked.

One synchronous loop. A step is a fixed number of packed rows; its loss is the mean over all the
tokens trained in the step (the sum over rows divided by their count, never a mean of means).
What a run does is fixed before it begins, so that it can be killed anywhere and, run again, ends
with the same weights: bit for bit on one CPU with the same number of threads and processes. Of
several processes each takes some of a step's rows, and gradients are summed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from webfarer.algo import nll, warmup_cosine
from webfarer.policy.model import load_model
from webfarer.store import append_jsonl, key_of, read_jsonl, write_jsonl
from webfarer.train.adapters import Adapters, add_adapters
from webfarer.train.attention import choose_way
from webfarer.train.checkpoint import load_checkpoint, save_checkpoint
from webfarer.train.folder import data_hash, finished, save_model, source_hash, tokenizer_hash
from webfarer.train.memory import enable_checkpointing
from webfarer.train.pack import Row, check_segments, collate, pack, too_long, trained_tokens
from webfarer.train.processes import Ranks
from webfarer.train.scorer import Scorer
from webfarer.types import BadInput, Record, Segment, SftSettings, WebfarerError, seed_for

T = TypeVar("T")
Progress = Callable[[int, int, float, float], None]
"""Called after each step with: steps done, steps in all, loss (nats a token), tokens a second."""


class Metric(Record):
    """One line of metrics.jsonl. `tokens` went through the model, `trained` had a loss.

    `valid_loss`, where it was taken, is that of the weights the step began with, as `loss` is; in
    the last line, of those it ended with.
    """

    step: int
    loss: float
    tokens: int
    trained: int
    lr: float
    grad_norm: float
    seconds: float
    valid_loss: float | None = None


@dataclass(slots=True)
class _Run:
    """What every step needs."""

    settings: SftSettings
    segments: Sequence[Segment]
    valid: Sequence[Segment]
    plan: list[list[Row]]
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scorer: Scorer
    adapters: Adapters | None
    device: torch.device
    ranks: Ranks

    def mine(self, rows: Sequence[T]) -> Sequence[T]:
        """Those of a step's rows that this process takes."""
        return rows[self.ranks.rank :: self.ranks.size]


def fine_tune(
    settings: SftSettings,
    source: Path | str,
    segments: Sequence[Segment],
    out: Path,
    progress: Progress | None = None,
    device: str = "auto",
    valid: Sequence[Segment] = (),
    ranks: Ranks | None = None,
) -> Path:
    """Trains the model of a folder or Hugging Face id and returns the folder of the new one.

    `out` gets `model/` (complete: config, weights, tokenizer), `metrics.jsonl` and, until it is
    finished, `checkpoint.safetensors`; with adapters also `adapter/`, in peft's format, and they
    are merged in `model/`. `valid` segments are never trained on: their loss goes to the metrics.
    Run again with the same arguments it goes on where it was, or returns at once where it was
    finished. With several processes each calls it, and the first writes the files. Segments longer
    than a row are left out: see `left_out`. Raises BadInput on data or a checkpoint that cannot be
    used, and WebfarerError where the loss is no longer a number.
    """
    out, ranks = Path(out), ranks or Ranks()
    check_segments(segments, tokenizer_hash(source))
    if valid:
        check_segments(valid, tokenizer_hash(source))
    key = _key(settings, source, segments, valid)
    checkpoint, metrics = out / "checkpoint.safetensors", out / "metrics.jsonl"
    if ranks.told(lambda: finished(out / "model", key)):
        checkpoint.unlink(missing_ok=True)  # killed just before it was removed
        return out / "model"
    run = _prepare(settings, source, segments, valid, device, ranks)
    done = load_checkpoint(checkpoint, run.model, run.optimizer, key)
    ranks.told(lambda: _keep_metrics(metrics, done))
    for step in range(done, len(run.plan)):
        metric = _checked_step(run, step)
        due = (step + 1) % settings.checkpoint_every == 0 or step + 1 == len(run.plan)
        if ranks.first:
            append_jsonl(metrics, [metric])
        if progress:
            progress(step + 1, len(run.plan), metric.loss, metric.tokens / metric.seconds)
        if due:
            ranks.told(
                lambda at=step + 1: save_checkpoint(checkpoint, run.model, run.optimizer, at, key)
            )
    dropped = too_long([len(segment) for segment in segments], settings.length)
    about = {"steps": len(run.plan), "segments": len(segments), "too_long": dropped}

    def save() -> None:
        if run.adapters:
            run.adapters.save(out / "adapter")
        save_model(run.model, source, out / "model", key, settings, about)
        checkpoint.unlink(missing_ok=True)

    ranks.told(save)
    return out / "model"


def plan_steps(settings: SftSettings, lengths: Sequence[int]) -> list[list[Row]]:
    """The rows of every step, over all epochs. Raises BadInput where no segment fits a row."""
    if too_long(lengths, settings.length) == len(lengths):
        raise BadInput(
            f"every segment is longer than length {settings.length} (the shortest has "
            f"{min(lengths)} tokens): raise length"
        )
    rows: list[Row] = []
    epoch, wanted = 0, (settings.steps or 0) * settings.rows
    while epoch < settings.epochs if settings.steps is None else len(rows) < wanted:
        rows.extend(pack(lengths, settings.length, settings.seed, epoch))
        epoch += 1
    rows = rows[: wanted or None]
    return [rows[begin : begin + settings.rows] for begin in range(0, len(rows), settings.rows)]


def _prepare(
    settings: SftSettings,
    source: Path | str,
    segments: Sequence[Segment],
    valid: Sequence[Segment],
    device: str,
    ranks: Ranks,
) -> _Run:
    plan = plan_steps(settings, [len(segment) for segment in segments])
    model = load_model(source, "float32", device)
    adapters = add_adapters(model, settings, settings.seed)
    if settings.checkpointing:
        enable_checkpointing(model)
    scorer = Scorer(model, choose_way(model))
    model.train()
    return _Run(
        settings=settings,
        segments=segments,
        valid=valid,
        plan=plan,
        model=model,
        optimizer=_adamw(settings, model),
        scorer=scorer,
        adapters=adapters,
        device=next(model.parameters()).device,
        ranks=ranks,
    )


def _adamw(settings: SftSettings, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019), its decay on matrices alone: not on norms and biases."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


def _key(
    settings: SftSettings,
    source: Path | str,
    segments: Sequence[Segment],
    valid: Sequence[Segment],
) -> str:
    """What tells one run from another."""
    hashes = source_hash(source), data_hash(segments), data_hash(valid)
    return key_of("sft-1", settings.telling(), *hashes)


def check_steps(checks: int, steps: int) -> set[int]:
    """The steps, from 0, before which the validation loss is taken: the first, and `checks` evenly
    between it and the end (which is told apart). Empty for 0 checks."""
    if not checks:
        return set()
    return {steps * check // (checks + 1) for check in range(checks + 1)}


def _checked_step(run: _Run, step: int) -> Metric:
    """A step, and the validation loss where it is due."""
    due = check_steps(run.settings.valid_checks, len(run.plan))
    begins = _valid_loss(run) if step in due else None
    metric = _step(run, step)
    last = due and step + 1 == len(run.plan)
    return metric.model_copy(update={"valid_loss": _valid_loss(run) if last else begins})


@torch.no_grad()
def _valid_loss(run: _Run) -> float | None:
    """Nats a trained token of the validation segments, those longer than a row left out."""
    lengths = [len(segment) for segment in run.valid]
    rows = [[run.valid[index] for index in row] for row in pack(lengths, run.settings.length, 0, 0)]
    trained = sum(trained_tokens(segment) for row in rows for segment in row)
    if not trained:
        return None
    run.model.eval()
    total = sum(float(_nll(run, row)) for row in run.mine(rows))
    run.model.train()
    return _summed(run, total) / trained


def _step(run: _Run, step: int) -> Metric:
    """One optimiser step on the rows that the plan has for it."""
    begun, settings = time.perf_counter(), run.settings
    torch.manual_seed(seed_for("sft", settings.seed, step) + run.ranks.rank)  # for dropout
    rows = [[run.segments[index] for index in row] for row in run.plan[step]]
    trained = sum(trained_tokens(segment) for row in rows for segment in row)
    loss = _summed(run, sum(_backward(run, row, trained) for row in run.mine(rows)))
    run.ranks.sum_gradients(list(run.model.parameters()))
    norm = float(nn.utils.clip_grad_norm_(run.model.parameters(), settings.clip))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise WebfarerError(
            f"step {step + 1}: loss {loss}, gradient norm {norm}: lower learning_rate (now "
            f"{settings.learning_rate:g}) or use float32; the last checkpoint is kept"
        )
    rate = _rate(settings, step, len(run.plan))
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    return Metric(
        step=step + 1,
        loss=loss,
        tokens=sum(len(segment) for row in rows for segment in row),
        trained=trained,
        lr=rate,
        grad_norm=norm,
        seconds=time.perf_counter() - begun,
    )


def _summed(run: _Run, mine: float) -> float:
    """The sum over processes."""
    return float(run.ranks.sum(torch.tensor(mine, dtype=torch.double)))


def _backward(run: _Run, row: Sequence[Segment], trained: int) -> float:
    """Adds one row's share of the step's gradient; returns its share of the loss."""
    share = _nll(run, row) / trained
    share.backward()
    return float(share.detach())


def _nll(run: _Run, row: Sequence[Segment]) -> Tensor:
    """The sum over a row's trained tokens, in nats."""
    packed = collate(row).to(run.device)
    with torch.autocast(run.device.type, torch.bfloat16, enabled=_bf16(run.settings)):
        logprobs_1N = run.scorer.logprobs(packed)[None]
    total, _ = nll(logprobs_1N, torch.ones_like(logprobs_1N))
    return total


def _bf16(settings: SftSettings) -> bool:
    return settings.precision == "bf16"


def _rate(settings: SftSettings, step: int, total: int) -> float:
    peak = settings.learning_rate
    warmup = min(total, math.ceil(settings.warmup * total))
    return warmup_cosine(step, warmup, total, peak, peak * settings.floor)


def _keep_metrics(path: Path, done: int) -> None:
    """Drops the lines of steps that will be taken again."""
    if path.exists():
        kept = [metric for metric in read_jsonl(path, Metric, _ignore) if metric.step <= done]
        write_jsonl(path, kept)


def _ignore(_: Any) -> None:
    """A torn line of metrics is of a step that is taken again: nothing is lost."""
