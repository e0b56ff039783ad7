"""What a step of reinforcement learning costs as work grows, and where its time goes: by group
size, by turns, by the tokens of an observation. One of them grows, the others stay.

    python benchmarks/rl_cost.py --threads 2

Attempts are of a known length: every turn is read as a search, which answers with so many tokens,
and the turn limit ends it; verdicts are drawn. Seconds are those of one step. Each point has a
process of its own, whose peak memory it tells. The shares by kind of operation come from
torch's profiler, in a step of their own. With --out a point that is there is not measured again.
Prints two tables for each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from rl_parts import (
    KINDS,
    Clock,
    Profiled,
    Restless,
    Shares,
    Timed,
    machine,
    peak_mb,
    print_table,
    timed,
    train,
)

from webfarer.cli.agents import arena
from webfarer.graph.worlds.world import build_world
from webfarer.policy.chat import load_renderer
from webfarer.policy.local import LocalEngine
from webfarer.policy.model import load_model
from webfarer.policy.renderer import Renderer
from webfarer.policy.source import model_folder
from webfarer.rollout.world import by_name
from webfarer.store import append_jsonl, read_jsonl
from webfarer.synth.tasks import Source, make_tasks
from webfarer.types import Record, RlSettings, RolloutSettings, ToolSettings

GROWS = {"group": (4, 8, 16, 32), "turns": (2, 4, 8), "observation": (50, 200, 800)}


class Point(Record):
    """What is measured: tasks x group attempts of `turns` turns, each of `turn_tokens` tokens at
    most and then `observation` tokens."""

    grows: str
    model: str
    tasks: int = 8
    group: int = 8
    turns: int = 4
    turn_tokens: int = 30
    observation: int = 200
    steps: int = 2
    threads: int = 1


class Measured(Record):
    """A point and what a step of it took."""

    point: Point
    attempts: float
    tokens: float
    model_s: float
    tool_s: float
    grading_s: float
    update_s: float
    peak_mb: float
    rollout_kinds: dict[str, float]
    update_kinds: dict[str, float]

    @property
    def step_s(self) -> float:
        """Seconds of all of it."""
        return self.model_s + self.tool_s + self.grading_s + self.update_s


def canned(renderer: Renderer, tokens: int) -> str:
    """A text of about so many tokens, which is no JSON and no tag."""
    words = "the town lies on the river and its mayor was born there in the flood".split()  # noqa: SIM905
    text = ""
    for place in range(8 * tokens):
        longer = f"{text} {words[place % len(words)]}".strip()
        if renderer.count(longer) > tokens:
            break
        text = longer
    return text


def measure(point: Point) -> Measured:
    """Some timed steps, and one that is profiled."""
    torch.set_num_threads(point.threads)
    with tempfile.TemporaryDirectory() as folder:
        found, _ = _run(point, Path(folder) / "timed", point.steps, Timed)
        peak = peak_mb(torch.device("cpu"))
        _, trainee = _run(point, Path(folder) / "profiled", 1, Profiled)
    assert isinstance(trainee, Profiled)
    steps = found.steps
    return Measured(
        point=point, attempts=found.attempts / steps, tokens=found.tokens / steps,
        model_s=found.model / steps, tool_s=found.tools / steps, grading_s=found.grading / steps,
        update_s=found.update / steps, peak_mb=peak, rollout_kinds=trainee.rollouts.seconds,
        update_kinds=trainee.updates.seconds,
    )  # fmt: skip


def _run(point: Point, out: Path, steps: int, kind: type[Timed]) -> tuple[Shares, Timed]:
    source, clock = model_folder(point.model), Clock()
    renderer = load_renderer(source)
    turn = point.turn_tokens + point.observation + 40  # and the tags around them
    context = 400 + turn * point.turns
    engine = LocalEngine(
        load_model(source, device="cpu"), renderer.tokenizer, slots=128, context=context
    )
    policy = Restless("rl", engine, renderer, max_turn_tokens=point.turn_tokens)
    worlds = by_name([build_world(1, 150)])
    (world,) = worlds.values()
    rollout = RolloutSettings(max_turns=point.turns, context=context)
    place = arena(worlds, renderer.count, ToolSettings(), rollout, 0)
    trainee = kind(
        policy, engine, timed(place, clock, canned(renderer, point.observation)), clock=clock
    )
    tasks = make_tasks(
        Source(world.graph, world.url_of), seed=1, split="train", per_level={1: point.tasks},
        recipe="benchmark",
    )  # fmt: skip
    settings = RlSettings(
        algorithm="grpo", steps=steps + 1, tasks=point.tasks, group=point.group, eval_every=0,
        show_every=0, learning_rate=1e-6, checkpoint_every=steps + 1,
    )  # fmt: skip
    return train(settings, source, trainee, tasks, out, device="cpu"), trainee


def seconds(found: Sequence[Measured], grows: str) -> list[tuple[str, ...]]:
    """Rows: what a step took, for each value of what grows."""
    return [
        (
            str(getattr(one.point, grows)), f"{one.attempts:.0f}", f"{one.tokens:,.0f}",
            f"{one.model_s:.2f}", f"{one.tool_s:.3f}", f"{one.grading_s:.3f}",
            f"{one.update_s:.2f}", f"{one.step_s:.2f}", f"{1e6 * one.step_s / one.tokens:.0f}",
            f"{one.peak_mb:,.0f}",
        )
        for one in found
    ]  # fmt: skip


def shares(found: Sequence[Measured], grows: str) -> list[tuple[str, ...]]:
    """Rows: where the time goes, for each value of what grows."""
    return [
        (f"{getattr(one.point, grows)}: {name}", *_percent(kinds))
        for one in found
        for name, kinds in (("rollout", one.rollout_kinds), ("update", one.update_kinds))
    ]


def _percent(kinds: dict[str, float]) -> tuple[str, ...]:
    total = sum(kinds.values()) or 1.0
    return tuple(f"{100 * kinds[kind] / total:.0f}%" for kind in KINDS)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="", help="a folder [the packaged base model]")
    parser.add_argument("--out", type=Path, help="a file that keeps what was measured (JSONL)")
    parser.add_argument("--only", choices=GROWS, nargs="*", default=list(GROWS))
    for name in ("tasks", "group", "turns", "turn_tokens", "observation", "steps", "threads"):
        default = Point.model_fields[name].default
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    for name, values in GROWS.items():
        parser.add_argument(f"--{name}s" if name != "turns" else "--turn-limits", type=int,
                            nargs="+", default=values, dest=f"all_{name}")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    given = arguments()
    plain = {name: getattr(given, name) for name in Point.model_fields if name != "grows"}
    kept = list(read_jsonl(given.out, Measured)) if given.out and given.out.exists() else []
    context = multiprocessing.get_context("spawn")
    about = machine(torch.device("cpu"))
    for grows in given.only:
        found = []
        for value in getattr(given, f"all_{grows}"):
            point = Point(**{**plain, "grows": grows, grows: value})
            one = next((each for each in kept if each.point == point), None)
            if one is None:
                with ProcessPoolExecutor(1, context) as pool:
                    one = pool.submit(measure, point).result()
                if given.out:
                    append_jsonl(given.out, [one])
            found.append(one)
        print_table(
            f"A step of {given.tasks} tasks as {grows} grows; {given.threads} threads. {about}",
            (grows, "attempts", "tokens", "rollout s", "of tools s", "of grading s", "update s",
             "step s", "µs a token", "peak MB"),
            seconds(found, grows),
        )  # fmt: skip
        print_table(f"Where the time goes as {grows} grows", (grows, *KINDS), shares(found, grows))


if __name__ == "__main__":
    main()
