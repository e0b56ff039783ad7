"""Turns sampled by `LocalEngine` against `transformers.generate` called turn by turn: the same
random model, prompts, turns and observations, in one run. Prints a table of ratios.

    python benchmarks/engine.py --threads 2

`generate` gets left-padded batches and reads the whole context anew every turn, for that is what
calling it turn by turn means; within a turn it keeps its cache. Of its dynamic and its static cache
the faster counts. Lengths differ from attempt to attempt: the engine samples the same number of
tokens on average as `generate`, whose rows are in lock step. Rates are the best of the repeats,
which take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from webfarer.policy.engine import Sampling
from webfarer.policy.local import LocalEngine

VOCABULARY = 2048


@dataclass(frozen=True)
class Shape:
    """Attempts as tokens: a system prompt for all, then turns of sampled and observed tokens."""

    turns: int
    system: int
    sampled: int
    observed: int
    ragged: bool

    @property
    def tokens(self) -> int:
        """Of a whole attempt, on average; a question has 20."""
        return self.system + 20 + self.turns * (self.sampled + self.observed)


SHORT, LONG = (4, 40, 30, 40), (6, 340, 85, 105)  # about 340 and 1,500 tokens


def small_model(dtype: torch.dtype) -> PreTrainedModel:
    """A random Qwen3 of about a million parameters."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        intermediate_size=384,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config).to(dtype).eval()


def some_ids(seed: int, length: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, VOCABULARY, (length,), generator=generator).tolist()


def start_of(i: int, shape: Shape) -> list[int]:
    extra = i % 17 if shape.ragged else 8
    return some_ids(0, shape.system) + some_ids(1000 + i, 12 + extra)


def observed(i: int, turn: int, shape: Shape) -> list[int]:
    length = shape.observed + (((i * 11 + turn * 5) % 31) - 15 if shape.ragged else 0)
    return some_ids(10_000 + i * 10 + turn, max(1, length))


def with_generate(model: PreTrainedModel, shape: Shape, batch: int, cache: str) -> None:
    """Left-padded batches in lock step, the whole context each turn."""
    contexts = [start_of(i, shape) for i in range(batch)]
    for turn in range(shape.turns):
        width = max(map(len, contexts))
        ids = torch.zeros(batch, width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, context in enumerate(contexts):
            ids[row, width - len(context) :] = torch.tensor(context)
            mask[row, width - len(context) :] = 1
        out = model.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            top_k=0,
            max_new_tokens=shape.sampled,
            min_new_tokens=shape.sampled,
            pad_token_id=0,
            cache_implementation=cache,
            disable_compile=True,
        )
        new = out[:, width:].tolist()
        contexts = [
            context + new[i] + observed(i, turn, shape) for i, context in enumerate(contexts)
        ]


def with_engine(model: PreTrainedModel, shape: Shape, batch: int) -> None:
    """One engine, as many attempts at once as the batch; each comes back when it is done."""
    engine = LocalEngine(model, slots=batch, context=2048)

    async def attempt(i: int) -> None:
        context = start_of(i, shape)
        for turn in range(shape.turns):
            length = shape.sampled + (((i * 7 + turn * 3) % 21) - 10 if shape.ragged else 0)
            done = await engine.generate(context, Sampling(max_tokens=length, seed=i * 100 + turn))
            context = [*context, *done.ids, *observed(i, turn, shape)]

    async def everyone() -> None:
        await asyncio.gather(*[attempt(i) for i in range(batch)])

    asyncio.run(everyone())


def rates(runs: dict[str, Callable[[], None]], batch: int, repeats: int) -> dict[str, float]:
    """Attempts a second of each, the best of the repeats."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - began)
    return {name: batch / seconds for name, seconds in best.items()}


def measure(shape: Shape, batch: int, dtype: torch.dtype, repeats: int) -> list[str]:
    """A row of the table."""
    model = small_model(dtype)
    runs = {cache: partial(with_generate, model, shape, batch, cache)
            for cache in ("dynamic", "static")}  # fmt: skip
    rate = rates({**runs, "engine": partial(with_engine, model, shape, batch)}, batch, repeats)
    theirs = max(rate["dynamic"], rate["static"])
    name = str(dtype).removeprefix("torch.")
    what = f"{shape.turns} turns, {shape.tokens:,} tokens"
    ratio = f"{rate['engine'] / theirs:.2f}"
    cells = [f"{rate[key]:.2f}" for key in ("dynamic", "static", "engine")]
    return [what, name, str(batch), *cells, ratio]


def machine() -> str:
    """The processor's name where the system tells, else its family."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16, 128])
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--only", choices=["short", "long"], help="one of the two shapes alone")
    parser.add_argument("--equal", action="store_true", help="all lengths alike")
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    table = Table(title=f"attempts a second; {machine()}, {args.threads} threads")
    for column in ("attempts", "type", "batch", "generate", "its static cache", "engine", "ratio"):
        table.add_column(column, justify="left" if column in ("attempts", "type") else "right")
    console = Console()
    for name, sizes in (("long", LONG), ("short", SHORT)):
        if args.only in (None, name):
            shape = Shape(*sizes, ragged=not args.equal)
            for dtype in args.dtype:
                for batch in args.batch:
                    row = measure(shape, batch, getattr(torch, dtype), args.repeats)
                    table.add_row(*row)
                    console.print(" ".join(row), highlight=False)
    console.print(table)


if __name__ == "__main__":
    main()
