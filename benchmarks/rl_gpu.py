"""Reinforcement learning of a randomly initialised Qwen3 of about 0.5 B parameters on a procedural
world: attempts and updates a second, memory, and the shares of model, tools, grading and update.

    python benchmarks/rl_gpu.py                 # on a GPU, in bfloat16
    python benchmarks/rl_gpu.py --size tiny     # on a CPU, in seconds

A random model neither calls nor answers, so every turn is read as a search, on real pages, and the
turn limit cuts every attempt; verdicts are drawn, so that there is something to learn from. What is
measured is work of a known size, not learning. Tokenizer and vocabulary are those of the base model
that comes with Webfarer; --vocabulary widens the output layer to that of a large model. Nothing is
fetched. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rl_parts import Clock, Restless, Shares, Timed, machine, peak_mb, print_table, timed, train

from webfarer.cli.agents import arena
from webfarer.graph.worlds.world import build_world
from webfarer.policy.chat import load_renderer
from webfarer.policy.local import LocalEngine
from webfarer.policy.model import load_model, pick_device
from webfarer.policy.source import model_folder
from webfarer.rollout.world import by_name
from webfarer.synth.tasks import Source, make_tasks
from webfarer.train.base import Shape, new_model
from webfarer.train.folder import save_weights
from webfarer.train.tokenizer import save_tokenizer
from webfarer.types import RlSettings, RolloutSettings, ToolSettings

SHAPES = {
    "half": Shape(hidden=1024, layers=32, heads=16, kv_heads=8, head_dim=128, intermediate=3072,
                  context=8192),
    "tiny": Shape(hidden=64, layers=2, heads=2, kv_heads=1, head_dim=32, intermediate=128),
}  # fmt: skip
"""`half` has the layers of Qwen3-0.6B, four more of them: 0.5 B beside a vocabulary of 2,048."""


def made_model(shape: Shape, vocabulary: int | None, out: Path) -> int:
    """Writes a random model, with the packaged tokenizer, into a folder; its parameters."""
    from transformers import Qwen3ForCausalLM

    tokenizer = load_renderer(model_folder("")).tokenizer
    model = new_model(shape, tokenizer, 0)
    if vocabulary is not None:
        config: Any = model.config
        config.vocab_size = vocabulary
        torch.manual_seed(0)
        model = Qwen3ForCausalLM(config)
    out.mkdir(parents=True)
    save_tokenizer(tokenizer, out, shape.context)
    save_weights(model, out)
    return sum(parameter.numel() for parameter in model.parameters())


def measure(given: argparse.Namespace, folder: Path) -> tuple[Shares, int, float]:
    """Where the time of the steps went, the model's parameters, and megabytes at the most."""
    device = pick_device(given.device)
    parameters = made_model(SHAPES[given.size], given.vocabulary, folder / "model")
    rollout = RolloutSettings(
        max_turns=given.turns, turn_tokens=given.turn_tokens, context=given.context,
        slots=given.tasks * given.group, max_cache_tokens=given.max_cache_tokens,
        dtype="bfloat16" if given.precision == "bf16" else "float32",
    )  # fmt: skip
    renderer, clock = load_renderer(folder / "model"), Clock()
    engine = LocalEngine(
        load_model(folder / "model", rollout.dtype, str(device)), renderer.tokenizer,
        slots=rollout.slots, context=rollout.context, max_cache_tokens=rollout.max_cache_tokens,
    )  # fmt: skip
    policy = Restless("rl", engine, renderer, max_turn_tokens=rollout.turn_tokens)
    worlds = by_name([build_world(1, given.world)])
    (world,) = worlds.values()
    place = timed(arena(worlds, renderer.count, ToolSettings(), rollout, 0), clock)
    tasks = make_tasks(
        Source(world.graph, world.url_of), seed=1, split="train",
        per_level={1: given.tasks, 2: given.tasks}, recipe="benchmark",
    )  # fmt: skip
    settings = RlSettings(
        algorithm=given.algorithm, steps=given.steps + 1, tasks=given.tasks, group=given.group,
        precision=given.precision, micro_tokens=given.micro_tokens, eval_every=0, show_every=0,
        learning_rate=1e-6, checkpoint_every=given.steps + 1,
        checkpointing=given.checkpointing,
    )  # fmt: skip
    trainee = Timed(policy, engine, place, clock=clock)
    found = train(settings, folder / "model", trainee, tasks, folder / "rl", device=str(device))
    return found, parameters, peak_mb(device)


def rows(found: Shares, parameters: int, peak: float) -> list[tuple[str, str, str]]:
    """What is measured, its number, and its share of a step."""

    def of(seconds: float) -> tuple[str, str]:
        return f"{seconds / found.steps:.3f}", f"{100 * seconds / found.step:.1f}%"

    rollout = found.model + found.tools + found.grading
    return [
        ("parameters", f"{parameters:,}", ""),
        ("attempts a second of rollout", f"{found.attempts / rollout:.2f}", ""),
        ("tokens a second of rollout", f"{found.tokens / rollout:,.0f}", ""),
        ("sampled tokens a second of rollout", f"{found.trained / rollout:,.0f}", ""),
        ("updates a second of update", f"{found.steps / found.update:.3f}", ""),
        ("tokens a second of update", f"{found.tokens / found.update:,.0f}", ""),
        ("gap, nats a token", f"{found.gap:.2g}", ""),
        ("peak memory, MB", f"{peak:,.0f}", ""),
        ("rollout: model, s a step", *of(found.model)),
        ("rollout: tools, s a step", *of(found.tools)),
        ("rollout: grading, s a step", *of(found.grading)),
        ("update, s a step", *of(found.update)),
        ("step, s", *of(found.step)),
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SHAPES, default="half")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--algorithm", default="grpo")
    parser.add_argument("--precision", choices=("float32", "bf16"))
    parser.add_argument("--vocabulary", type=int, help="of the output layer [the tokenizer's]")
    parser.add_argument("--steps", type=int, default=2, help="measured, after one that is not")
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--turn-tokens", type=int, default=120)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--max-cache-tokens", type=int)
    parser.add_argument("--micro-tokens", type=int, default=16384)
    parser.add_argument("--checkpointing", action="store_true", help="activation checkpointing")
    parser.add_argument("--world", type=int, default=150, help="entities")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.size == "tiny":
        small = {"tasks": 2, "group": 2, "turns": 2, "turn_tokens": 12, "steps": 1}
        for name, value in small.items():
            if getattr(given, name) == parser.get_default(name):
                setattr(given, name, value)
    if given.precision is None:
        given.precision = "float32" if pick_device(given.device).type == "cpu" else "bf16"
    return given


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        found, parameters, peak = measure(given, Path(folder))
    if given.json:
        print(json.dumps({**asdict(found), "step": found.step, "parameters": parameters,
                          "peak_mb": peak}))  # fmt: skip
        return
    title = (
        f"{given.tasks} tasks x {given.group} attempts of {given.turns} turns x "
        f"{given.turn_tokens} tokens, {given.precision}, {given.algorithm}; {found.steps} steps. "
        f"{torch.get_num_threads()} threads. {machine(pick_device(given.device))}"
    )
    print_table(title, ("", "", "share of a step"), rows(found, parameters, peak))


if __name__ == "__main__":
    main()
