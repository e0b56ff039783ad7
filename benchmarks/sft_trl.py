"""Fine-tuning tokens a second against TRL's `SFTTrainer` with `packing_strategy="wrapped"`: the
same model, token ids, loss mask, tokens a step, optimiser and threads, on CPU, in one run.

Twice for each dtype: a loss on what the policy wrote alone, as web agents are trained (TRL is given
the same labels, and packs them), and a loss on every token. What cannot be held equal: wrapped
packing cuts trajectories into pieces of 512 tokens and attends across their ends; ours keeps each
whole and apart. TRL's own default packing, "bfd", keeps them apart too: `--packing` adds it.

The trajectories are those of a finished run (`--run`), else synthetic ones of such lengths and such
a mask. TRL runs without checkpointing, evaluation or logging. Each side runs in a process of its
own. Prints a table of medians over steps.

    python benchmarks/sft_trl.py --threads 2 --run runs/quickstart

TRL is not part of Webfarer: pip install -e '.[bench]'
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import random
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from webfarer.policy.source import model_folder
from webfarer.store import read_jsonl
from webfarer.store.shards import Shard
from webfarer.train.folder import tokenizer_hash
from webfarer.train.sft import Metric, fine_tune
from webfarer.types import Segment, SftSettings

LENGTHS, WRITTEN = (390, 440, 450, 470, 620, 810, 840, 860, 970, 1200, 1850), 0.32
LEARNING_RATE, WEIGHT_DECAY, BETAS = 1e-4, 0.01, (0.9, 0.95)


class Rate(NamedTuple):
    """Tokens a second of each step, tokens and tokens with a loss a step, and peak memory."""

    rates: list[float]
    tokens: float
    trained: float
    peak_mb: int


def trajectories(args: argparse.Namespace, every: bool) -> list[Segment]:
    """Those of the run or synthetic ones; `every`: a loss on every token."""
    source = model_folder(args.model)
    if args.run:
        shard = Shard(args.run / "curated" / "tokens.safetensors")
        shard.expect(tokenizer_hash(source))
        found = [shard.segment(row) for row in range(min(args.trajectories, len(shard)))]
    else:
        found = [synthetic(number, tokenizer_hash(source)) for number in range(args.trajectories)]
    if every:
        found = [Segment(s.tokenizer, s.ids, [1] * len(s), [0.0] * len(s)) for s in found]
    return found


def synthetic(number: int, tokenizer: str) -> Segment:
    """Random ids in stretches: what was observed, then what was written, in turn."""
    rng = random.Random(number)
    length = rng.choice(LENGTHS)
    ids = [rng.randrange(20, 2000) for _ in range(length)]
    mask = [int(place % 100 >= 100 * (1 - WRITTEN)) for place in range(length)]
    return Segment(tokenizer, ids, mask, [0.0] * length)


def ours(args: argparse.Namespace, precision: str, every: bool) -> Rate:
    """`fine_tune`, the trainer of `webfarer train sft`."""
    torch.set_num_threads(args.threads)
    segments = trajectories(args, every)
    settings = SftSettings(
        steps=1 + args.steps, length=args.length, rows=args.tokens // args.length,
        learning_rate=LEARNING_RATE, floor=1.0, warmup=0.0, weight_decay=WEIGHT_DECAY,
        betas=BETAS, precision=precision, checkpoint_every=2 + args.steps, valid_checks=0,
    )  # fmt: skip
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as out:
        fine_tune(
            settings, model_folder(args.model), segments, Path(out),
            lambda *_: ends.append(time.perf_counter()), "cpu",
        )  # fmt: skip
        metrics = list(read_jsonl(Path(out) / "metrics.jsonl", Metric))
    return made(ends, [m.tokens for m in metrics], [m.trained for m in metrics])


def theirs(args: argparse.Namespace, precision: str, every: bool, packing: str) -> Rate:
    """`SFTTrainer` on the same ids and labels, packed."""
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
    from transformers.utils.logging import disable_progress_bar as disable_loading_bar
    from trl import SFTConfig, SFTTrainer

    disable_progress_bar()
    disable_loading_bar()
    source = model_folder(args.model)
    data = [{"input_ids": one.ids, "labels": labels_of(one)} for one in trajectories(args, every)]
    ends: list[float] = []
    tokens: list[int] = []
    trained: list[int] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    class Counted(SFTTrainer):
        def compute_loss(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
            labels = inputs["labels"]
            tokens.append(labels.numel())
            trained.append(int((labels != -100).sum()))
            return super().compute_loss(model, inputs, *rest, **named)

    with tempfile.TemporaryDirectory() as out:
        config = SFTConfig(
            output_dir=out, use_cpu=True, bf16=precision == "bf16", gradient_checkpointing=False,
            per_device_train_batch_size=args.tokens // args.trl_length, max_length=args.trl_length,
            packing=True, packing_strategy=packing, max_steps=1 + args.steps,
            learning_rate=LEARNING_RATE, lr_scheduler_type="constant", optim="adamw_torch_fused",
            weight_decay=WEIGHT_DECAY, adam_beta1=BETAS[0], adam_beta2=BETAS[1], max_grad_norm=1.0,
            save_strategy="no", report_to="none", disable_tqdm=True, logging_strategy="no",
            dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = Counted(
            model=AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32), args=config,
            train_dataset=Dataset.from_list(data), callbacks=[Clock()],
            processing_class=AutoTokenizer.from_pretrained(source),
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return made(ends, tokens, trained)


def labels_of(segment: Segment) -> list[int]:
    """The ids where there is a loss, TRL's -100 elsewhere."""
    pairs = zip(segment.ids, segment.mask, strict=True)
    return [token if own else -100 for token, own in pairs]


def made(ends: Sequence[float], tokens: Sequence[int], trained: Sequence[int]) -> Rate:
    """From the ends of steps; the first step warms up."""
    seconds = [after - before for before, after in pairwise(ends)]
    rates = [count / second for count, second in zip(tokens[1:], seconds, strict=True)]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mb = most // (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Rate(rates, median(tokens[1:]), median(trained[1:]), mb)


def apart(work: Callable[..., Rate], *given: Any) -> Rate:
    """Runs in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="", help="a folder; empty: the packaged base model")
    parser.add_argument("--run", type=Path, help="the folder of a finished `webfarer run`")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--steps", type=int, default=12, help="timed, after one to warm up")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens a step")
    parser.add_argument("--length", type=int, default=SftSettings().length, help="of our rows")
    parser.add_argument("--trl-length", type=int, default=512, help="of TRL's rows")
    parser.add_argument("--trajectories", type=int, default=300)
    parser.add_argument("--packing", nargs="+", default=["wrapped"], choices=["wrapped", "bfd"])
    args = parser.parse_args()
    try:
        import trl
    except ImportError:
        sys.exit("TRL is not installed: pip install -e '.[bench]'")
    console = Console()
    console.print(
        f"{platform.processor() or platform.machine()}, {args.threads} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}, TRL {trl.__version__}, "
        f"{'trajectories of ' + args.run.name if args.run else 'synthetic trajectories'}"
    )
    table = Table(title="Fine-tuning, tokens a second (median)")
    for column in ("dtype", "loss on", "", "tokens/s", "tokens a step", "with a loss", "peak MB"):
        table.add_column(column, justify="left" if column in ("dtype", "loss on", "") else "right")
    table.add_column("Webfarer / TRL", justify="right")
    for precision in ("float32", "bf16"):
        for every in (False, True):
            mine = apart(ours, args, precision, every)
            about = precision, "every token" if every else "what was written"
            add(table, (*about, "Webfarer"), mine, "")
            for packing in args.packing:
                peer = apart(theirs, args, precision, every, packing)
                ratio = f"{median(mine.rates) / median(peer.rates):.2f}"
                add(table, ("", "", f"TRL, {packing}"), peer, ratio)
    console.print(table)


def add(table: Table, names: tuple[str, ...], rate: Rate, ratio: str) -> None:
    numbers = (f"{n:,.0f}" for n in (median(rate.rates), rate.tokens, rate.trained, rate.peak_mb))
    table.add_row(*names, *numbers, ratio)


if __name__ == "__main__":
    main()
