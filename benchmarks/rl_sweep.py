"""PPO, GRPO, DAPO and DUPO side by side: sweeps over variants and seeds, from a finished run.

    webfarer run --out run
    python benchmarks/rl_sweep.py algorithms --run run --out sweeps --jobs 2

`algorithms` compares the four from the same cold start, `cold` without it, from the base model;
`latency` compares DUPO with DAPO's dynamic sampling where tools answer at once and where each takes
200 ms; `ablate` takes DAPO's four changes away, one at a time, with four mini-batches a step (with
one no ratio leaves 1, so there is nothing to clip) and a context so short that the overlong
punishment is felt; `rewards` asks what of a gain comes of the rewards and what of a penalty on
entropy, which sharpens what is sampled also where verdicts say nothing. Killed and run again it
goes on; --show prints the tables so far.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from rl_cell import (
    Ground,
    Plan,
    Result,
    Start,
    Variant,
    prefilter,
    prefilter_folder,
    read_result,
    run_cell,
)
from rl_table import Line, Rows, costs, curves, equal, lines_of, quality, show

from webfarer.algo import ALGORITHMS
from webfarer.evals.metrics import compare
from webfarer.store import write_json
from webfarer.store.parts import Parts
from webfarer.types import BadInput, Trajectory
from webfarer.types.report import Difference

OWN: dict[str, dict[str, Any]] = {
    "ablate": {"mini_batches": 4, "context": 1280},
    "rewards": {"steps": 28, "learning_rate": 2e-4, "pool": 10_000, "test": 600, "curve": 0},
}
"""What a sweep changes of the plan where nothing is asked for."""


def algorithms() -> list[Variant]:
    return [Variant("cold start"), *_rows("sft")]


def cold() -> list[Variant]:
    return [Variant("base", start="base"), *_rows("base")]


def _rows(start: Start) -> list[Variant]:
    return [
        Variant(name, {"algorithm": name}, start, prefiltered=row.prefilter)
        for name, row in ALGORITHMS.items()
    ]


def latency() -> list[Variant]:
    dapo, twice = {"algorithm": "dapo"}, {"algorithm": "dapo", "oversample": 2.0}
    found = []
    for tool_s in (0.0, 0.2):
        tools = f"tools {1000 * tool_s:.0f} ms"
        found += [
            Variant(f"dupo, {tools}", {"algorithm": "dupo"}, "sft", tool_s, True),
            Variant(f"dapo, {tools}", dapo, "sft", tool_s),
            Variant(f"dapo, oversampling, {tools}", twice, "sft", tool_s),
            Variant(f"dapo, oversampling, with pre-filter, {tools}", twice, "sft", tool_s, True),
        ]
    return found


def ablate() -> list[Variant]:
    rows: dict[str, dict[str, Any]] = {
        "dapo": {},
        "no clip-higher": {"clip_high": ALGORITHMS["dapo"].clip.low},
        "no dynamic sampling": {"select": "all", "refill": False},
        "sequence-level loss": {"aggregate": "sequence"},
        "no overlong punishment": {"overlong": "none"},
    }
    return [Variant(name, {"algorithm": "dapo", "row": row}) for name, row in rows.items()]


def rewards() -> list[Variant]:
    plain = {
        "algorithm": "dupo", "floor": 0.1, "partly_solved": 0.5, "levels_by_step": [[0, 2]],
    }  # fmt: skip
    sharp = {**plain, "entropy": -1.0}
    return [
        Variant("cold start"),
        Variant("rewards and penalty", sharp),
        Variant("rewards alone", plain),
        Variant("verdicts by chance, penalty", sharp, chance=0.6),
        Variant("verdicts by chance alone", plain, chance=0.6),
    ]


SWEEPS: dict[str, Callable[[], list[Variant]]] = {
    "algorithms": algorithms, "latency": latency, "cold": cold, "ablate": ablate,
    "rewards": rewards,
}  # fmt: skip


def cell_of(out: Path, variant: Variant, seed: int) -> Path:
    """A cell's folder."""
    plain = "".join(char if char.isalnum() else "-" for char in variant.name)
    return out / "-".join(filter(None, plain.split("-"))) / f"seed-{seed}"


def finished(out: Path, variants: Sequence[Variant]) -> list[Result]:
    """The results of the cells that are there."""
    paths = [
        path for each in variants for path in cell_of(out, each, 0).parent.glob("*/result.json")
    ]
    return [read_result(path) for path in sorted(paths)]


def work(plan: dict[str, Any], out: str, name: str, seed: int | None, threads: int) -> str:
    """A cell, or where there is no seed the pre-filter that a variant needs, in this process."""
    torch.set_num_threads(threads)
    chosen = Plan(**plan)
    variant = next(each for each in SWEEPS[chosen.sweep]() if each.name == name)
    if seed is None:
        prefilter(chosen, Path(out), variant)
        return f"pre-filter of {name}"
    run_cell(chosen, variant, seed, Path(out), cell_of(Path(out), variant, seed))
    return f"{name}, seed {seed}"


def run(plan: Plan, out: Path, variants: Sequence[Variant], given: argparse.Namespace) -> int:
    """Runs what is missing, and tells what there is after every cell; the number that failed."""
    needed = {prefilter_folder(out, each): each.name for each in variants if each.prefiltered}
    seeds = range(1, given.seeds + 1)
    cells = [
        (each.name, seed)
        for seed in seeds
        for each in variants
        if not (cell_of(out, each, seed) / "result.json").exists()
    ]
    failed = 0
    lots: list[list[tuple[str, int | None]]] = [
        [(name, None) for name in needed.values()],
        [*cells],
    ]
    for lot in lots:
        failed += _together(plan, out, lot, given)
        if failed:
            break
    return failed


def _begin(niceness: int, parent: int) -> None:
    """A worker gives way to others, and ends with its parent: were it to go on, a sweep that is
    killed and run again would have two of it."""
    os.nice(niceness)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _together(
    plan: Plan, out: Path, jobs: Sequence[tuple[str, int | None]], given: argparse.Namespace
) -> int:
    failed = 0
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # before a child imports torch
    context = multiprocessing.get_context("spawn")
    given_child = (given.nice, os.getpid())
    with ProcessPoolExecutor(
        given.jobs, context, _begin, given_child, max_tasks_per_child=1
    ) as pool:
        running = [
            pool.submit(work, plan.model_dump(), str(out), name, seed, given.threads)
            for name, seed in jobs
        ]
        for future in as_completed(running):
            if error := future.exception():
                failed += 1
                print(f"failed: {error.__cause__ or error!r}", file=sys.stderr, flush=True)
            else:
                print(f"done: {future.result()}", flush=True)
                tell(plan, out, given)
    return failed


def tell(plan: Plan, out: Path, given: argparse.Namespace) -> None:
    """Prints the tables of what is finished, if anything is."""
    variants = SWEEPS[plan.sweep]()
    lines = lines_of(variants, finished(out, variants))
    against = given.against or variants[0].name
    trained = [each.name.partition(",")[0] for each in variants if each.settings]
    paid = given.paid or ("dupo" if "dupo" in trained else trained[0])
    title = (
        f"{plan.sweep}: {plan.steps} steps of {plan.tasks} tasks x {plan.group}, learning rate "
        f"{plan.learning_rate:g}, {plan.mini_batches} mini-batches, context {plan.context}, "
        f"{plan.pool} training tasks; {plan.test} held-out tasks x {plan.samples} samples and "
        f"greedy, k = {min(3, plan.samples)}. ± is a 95% t interval over seeds, differences and "
        f"ratios paired by seed. {platform.machine()}, {os.cpu_count()} cores, torch "
        f"{torch.__version__}, {given.threads} thread(s) a cell, {given.jobs} at once."
    )
    tables = [
        quality(lines, against), paired(plan, out, lines, against), costs(lines, paid),
        curves(lines), equal(lines, paid),
    ]  # fmt: skip
    if lines:
        show(tables, title, given.markdown)
    else:
        print("no cell is finished yet")


def paired(plan: Plan, out: Path, lines: Sequence[Line], against: str) -> Rows:
    """Differences to the variant `against`, paired by task, with 95% bootstrap intervals."""
    rows: Rows = [(f"minus {against}, paired by task", "seed", "greedy", "pass@1")]
    tasks = {task.id: task for task in Ground(plan).held_out[0]}

    def made(line: Line, seed: int) -> tuple[str, Iterator[Trajectory]]:
        return line.name, Parts(cell_of(out, line.variant, seed) / "eval").read(Trajectory)

    base = next((line for line in lines if line.variant.name == against), None)
    if base is None:
        return rows
    for line in (line for line in lines if line is not base and not line.charged):
        for seed in sorted({one.seed for one in line.results} & {one.seed for one in base.results}):
            found = compare(made(base, seed), made(line, seed), tasks)
            rows.append((line.name, str(seed), points(found.greedy), points(found.pass_at_1)))
    return rows


def points(found: Difference | None) -> str:
    """A difference in points, with its interval."""
    if found is None:
        return "–"
    low, high = found.interval
    return f"{100 * found.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def claimed(plan: Plan, out: Path) -> Plan:
    """Writes the plan into the sweep's folder. Raises BadInput where another plan is there."""
    path = out / "plan.json"
    if not path.exists():
        write_json(path, plan.model_dump(mode="json"))
    found = Plan.model_validate_json(path.read_bytes())
    if other := [name for name in Plan.model_fields if getattr(found, name) != getattr(plan, name)]:
        raise BadInput(
            f"{out} holds a sweep with another {other[0]} ({getattr(found, other[0])}): choose "
            "another --out, or remove it"
        )
    return plan


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", choices=SWEEPS)
    parser.add_argument("--run", help="the folder of a finished quickstart")
    parser.add_argument("--out", type=Path, default=Path("sweeps"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="variants to run, by name")
    parser.add_argument("--jobs", type=int, default=1, help="cells side by side")
    parser.add_argument("--threads", type=int, default=1, help="of each cell")
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--against", default="", help="whose scores to compare with [the first]")
    parser.add_argument("--paid", default="", help="whose cost to compare with [dupo, if there]")
    parser.add_argument("--show", action="store_true", help="print the tables so far, run nothing")
    parser.add_argument("--markdown", action="store_true")
    for name, info in Plan.model_fields.items():
        if name in ("sweep", "run"):
            continue
        many = name == "levels"
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=float if info.annotation is float else int,
            nargs="+" if many else None, help=f"[{OWN.get(name, info.default)}]",
        )  # fmt: skip
    return parser.parse_args()


def planned(given: argparse.Namespace) -> Plan:
    """The plan that the arguments ask for."""
    if not given.run:
        raise BadInput("--run is missing: give the folder of a finished quickstart")
    asked = {name: getattr(given, name) for name in Plan.model_fields if name != "run"}
    asked = {name: value for name, value in asked.items() if value is not None}
    return Plan(**{**OWN.get(given.sweep, {}), **asked, "run": str(Path(given.run).resolve())})


def main() -> None:
    given = arguments()
    out = given.out / given.sweep
    variants = SWEEPS[given.sweep]()
    if unknown := set(given.only or ()) - {each.name for each in variants}:
        names = "; ".join(each.name for each in variants)
        raise BadInput(f"--only {min(unknown)!r} is none of: {names}")
    if given.show:
        if not (out / "plan.json").exists():
            raise BadInput(f"{out} holds no sweep: run it first")
        tell(Plan(**json.loads((out / "plan.json").read_text())), out, given)
        return
    plan = claimed(planned(given), out)
    chosen = [each for each in variants if not given.only or each.name in given.only]
    failed = run(plan, out, chosen, given)
    tell(plan, out, given)
    if failed:
        sys.exit(f"{failed} failed: run the same command again")


if __name__ == "__main__":
    try:
        main()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
