"""Turns sampled by `LocalEngine` against `transformers.generate` called per turn on the whole
context: the same model, prompts and turns, in one run. Prints a table.

    python benchmarks/engine.py --threads 2
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable

import torch
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from webfarer.policy.engine import Sampling
from webfarer.policy.local import LocalEngine

VOCABULARY = 2048


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


def with_generate(model: PreTrainedModel, args: argparse.Namespace, ragged: bool) -> None:
    """Left-padded batches in lock step, the whole context each turn."""
    contexts = [start_of(i, args, ragged) for i in range(args.batch)]
    for turn in range(args.turns):
        width = max(map(len, contexts))
        ids = torch.zeros(len(contexts), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, context in enumerate(contexts):
            ids[row, width - len(context) :] = torch.tensor(context)
            mask[row, width - len(context) :] = 1
        out = model.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            top_k=0,
            max_new_tokens=args.sampled,
            min_new_tokens=args.sampled,
            pad_token_id=0,
        )
        new = out[:, width:].tolist()
        contexts = [
            context + new[i] + observation_of(i, turn, args, ragged)
            for i, context in enumerate(contexts)
        ]


def with_engine(model: PreTrainedModel, args: argparse.Namespace, ragged: bool) -> None:
    """One engine, as many attempts at once as the batch; each comes back when it is done."""
    engine = LocalEngine(model, slots=args.slots or args.batch, context=2048)

    async def attempt(i: int) -> None:
        context = start_of(i, args, ragged)
        for turn in range(args.turns):
            length = args.sampled + (((i * 7 + turn * 3) % 21) - 10 if ragged else 0)
            done = await engine.generate(context, Sampling(max_tokens=length, seed=i * 100 + turn))
            context = [*context, *done.ids, *observation_of(i, turn, args, ragged)]

    async def everyone() -> None:
        await asyncio.gather(*[attempt(i) for i in range(args.batch)])

    asyncio.run(everyone())


def start_of(i: int, args: argparse.Namespace, ragged: bool) -> list[int]:
    extra = i % 17 if ragged else 8
    return some_ids(0, args.system) + some_ids(1000 + i, 12 + extra)


def observation_of(i: int, turn: int, args: argparse.Namespace, ragged: bool) -> list[int]:
    length = args.observation + (((i * 11 + turn * 5) % 31) - 15 if ragged else 0)
    return some_ids(10_000 + i * 10 + turn, max(1, length))


def rate(run: Callable[[], None], batch: int, repeats: int) -> float:
    """Trajectories a second, the best of the repeats."""
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return batch / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--slots", type=int, default=0)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--sampled", type=int, default=30)
    parser.add_argument("--system", type=int, default=40)
    parser.add_argument("--observation", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--skip-generate", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.batch} attempts, {args.turns} turns, {args.threads} threads")
    print(f"{'dtype':10}{'lengths':10}{'generate/s':>12}{'engine/s':>12}{'ratio':>8}")
    for dtype in (torch.float32, torch.bfloat16):
        model = small_model(dtype)
        for ragged in (False, True):

            def engine(model: PreTrainedModel = model, ragged: bool = ragged) -> None:
                with_engine(model, args, ragged)

            def generate(model: PreTrainedModel = model, ragged: bool = ragged) -> None:
                with_generate(model, args, ragged)

            ours = rate(engine, args.batch, args.repeats)
            theirs = 0.0 if args.skip_generate else rate(generate, args.batch, args.repeats)
            name = str(dtype).removeprefix("torch.")
            lengths = "ragged" if ragged else "equal"
            ratio = f"{ours / theirs:8.2f}" if theirs else ""
            print(f"{name:10}{lengths:10}{theirs:12.1f}{ours:12.1f}{ratio}", flush=True)


if __name__ == "__main__":
    main()
