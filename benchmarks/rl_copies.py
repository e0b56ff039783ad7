"""DUPO's copies against weights without copies: seconds of update for the same gradient.

A group without variance gives its place to a copy of another; copying amounts to reweighting where
the copies share a mini-batch. Attempts are canned (the same tokens for both), so that only updates
differ. With several mini-batches the two are not the same gradient, and the table says so.

    python benchmarks/rl_copies.py --threads 2
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import Qwen3Config, Qwen3ForCausalLM
from transformers.utils import logging

from webfarer.rollout.collect import Job, Rolled
from webfarer.store import read_jsonl, write_json
from webfarer.train.rl import reinforce
from webfarer.train.rl_metrics import StepMetric
from webfarer.types import (
    Answer,
    Origin,
    Reward,
    RlSettings,
    Segment,
    Task,
    Trajectory,
    Turn,
    Verdict,
    random_for,
)

VOCABULARY = 2048
SHARES = (0.0, 0.25, 0.5, 0.75)


@dataclass
class Canned:
    """Attempts of some length, a third of them the policy's own; `flat` of the tasks have no
    spread, as their attempts are all wrong."""

    length: int
    flat: int
    version: int = -1
    longest: int = 1 << 20

    def take(self, model: Any, version: int) -> None:
        """There is no engine to give weights to: only their version counts."""
        self.version = version

    def make(self, jobs: Sequence[Job], step: int) -> list[Rolled]:
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Rolled:
        rng = random_for("canned", job.task.id, job.member)
        ids = [rng.randrange(1, VOCABULARY) for _ in range(self.length)]
        segment = Segment("canned")
        for start in range(0, self.length, 60):  # an observation of 40 tokens, a turn of 20
            segment.given(ids[start : start + 40])
            said = ids[start + 40 : start + 60]
            segment.chosen(said, [-7.6] * len(said), self.version)
        correct = int(job.task.id) >= self.flat and job.member % 2 == 0
        return Rolled(_trajectory(job, self.version, correct), (segment,))


def _trajectory(job: Job, version: int, correct: bool) -> Trajectory:
    status = "correct" if correct else "wrong"
    parts = {"format": 1.0, "answer": float(correct)}
    return Trajectory(
        task_id=job.task.id, member=job.member, policy="canned", policy_version=version,
        trainable=True, system="", question="", answer="x", stop="answer",
        turns=(Turn(text="x", policy_version=version),),
        verdict=Verdict(status=status, reason="canned", grader="canned"),
        reward=Reward(parts=parts, weights={"format": 0.1, "answer": 0.9}),
    )  # fmt: skip


def new_model(folder: Path, hidden: int, layers: int) -> None:
    """A random Qwen3, of about a million parameters by default."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=hidden, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, head_dim=hidden // 4,
        intermediate_size=3 * hidden, tie_word_embeddings=True,
    )  # fmt: skip
    logging.disable_progress_bar()
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer = {"version": "1.0", "added_tokens": [], "model": {
        "type": "WordLevel", "vocab": {"x": 0}, "unk_token": "x"}}  # fmt: skip
    write_json(folder / "tokenizer.json", tokenizer)


def measured(
    model: Path, out: Path, args: argparse.Namespace, share: float, lots: int, as_weights: bool
) -> StepMetric:
    """A step's line, its seconds the median over the steps after the first."""
    settings = RlSettings(
        algorithm="dupo", steps=args.steps + 1, tasks=args.tasks, group=args.group,
        mini_batches=lots, as_weights=as_weights, learning_rate=1e-6, eval_every=0, show_every=0,
        checkpoint_every=args.steps + 1, gap_alarm=100.0,
    )  # fmt: skip
    origin = Origin(recipe="canned", seed=0, graph="0")
    tasks = [
        Task(id=str(number), question="?", answers=(Answer(text="x"),), origin=origin)
        for number in range(args.tasks)
    ]
    canned = Canned(args.length, round(share * args.tasks))
    reinforce(settings, model, canned, tasks, out, device=args.device)
    lines = list(read_jsonl(out / "metrics.jsonl", StepMetric))
    seconds = median(line.update_s for line in lines[1:])
    return lines[0].model_copy(update={"update_s": seconds})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--length", type=int, default=720, help="tokens of an attempt")
    parser.add_argument("--steps", type=int, default=3, help="measured, after one that is not")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    table = Table(title=f"{machine or platform.machine()}, {torch.get_num_threads()} threads")
    for name in ("flat groups", "mini-batches", "copies", "weights", "ratio", "same gradient"):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        new_model(model, args.hidden, args.layers)
        for lots in (1, 4):
            for share in SHARES:
                found = [
                    measured(model, Path(folder) / f"{lots}-{share}-{way}", args, share, lots, way)
                    for way in (False, True)
                ]
                table.add_row(*_row(share, lots, *found))
                print(*_row(share, lots, *found), sep="  ", file=sys.stderr)
    Console().print(table)


def _row(share: float, lots: int, copies: StepMetric, weights: StepMetric) -> list[str]:
    away = abs(copies.grad_norm - weights.grad_norm) / max(copies.grad_norm, 1e-12)
    return [
        f"{share:.0%}", str(lots), f"{copies.update_s:.2f} s", f"{weights.update_s:.2f} s",
        f"{copies.update_s / weights.update_s:.2f}", "yes" if away < 1e-3 else f"off by {away:.1%}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
