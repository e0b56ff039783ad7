"""The branching walk over a generated graph: Webfarer's packed graph against the same walker on
networkx and rustworkx, each in a process of its own. Prints a table.

    python benchmarks/walks.py                                    # 1 M nodes, 10 M edges
    python benchmarks/walks.py --edges 200000 --walks 2000        # small
    python benchmarks/walks.py --peers /some/venv/bin/python      # where the peers are installed

The peers (pip install networkx rustworkx) hold no ids, labels or relations and draw with
`random.Random`. They are walked as they are, asked for a node's neighbours at each step, and over
plain lists of neighbours made beforehand, which is as fast as Python gets. Rates are the best of
five, by the processor's time, so that what else the machine does counts little; only that of
several threads, and opening, are by the clock on the wall.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

EDGES, BACK = 12, 0.3
LIMIT = 16 * EDGES
OURS = ("import", "layout", "open", "python", "single", "many")
PEERS = ("networkx", "rustworkx")


def generate(folder: Path, nodes: int, edges: int) -> None:
    """Pairs of nodes, no two alike whichever way round; a few nodes have most of the edges."""
    rng = np.random.default_rng(1)
    one = rng.integers(0, nodes, edges + edges // 4)
    other = (nodes * rng.random(len(one)) ** 3).astype(np.int64)
    low, high = np.minimum(one, other), np.maximum(one, other)
    _, places = np.unique(low * nodes + high, return_index=True)
    places = np.sort(places[(one != other)[places]])[:edges]
    relation = rng.integers(0, 100, len(places))
    np.save(folder / "edges.npy", np.stack([one[places], relation, other[places]], axis=1))
    np.save(folder / "roots.npy", rng.integers(0, nodes, 1_000_000))


def write_triples(folder: Path) -> None:
    with (folder / "graph.nt").open("w") as file:
        for chunk in np.array_split(np.load(folder / "edges.npy"), 64):
            file.writelines(
                f"<http://www.wikidata.org/entity/Q{one}> "
                f"<http://www.wikidata.org/prop/direct/P{relation}> "
                f"<http://www.wikidata.org/entity/Q{other}> .\n"
                for one, relation, other in chunk.tolist()
            )


# The peers


def branching(around: Sequence[Sequence[int]], root: int, draw: Callable[[], float]) -> int:
    """One walk as `webfarer.graph.walk` defines it; how many steps it took."""
    nodes, known, found = [root], {root}, set[tuple[int, int]]()
    missed, steps = False, 0
    while steps < LIMIT and len(found) < EDGES:
        steps += 1
        if missed:
            here = nodes[int(draw() * len(nodes))]
        elif len(nodes) > 1 and draw() < BACK:
            here = nodes[int(draw() * (len(nodes) - 1))]
        else:
            here = nodes[-1]
        missed = True
        others = around[here]
        if not others:
            continue
        other = others[int(draw() * len(others))]
        edge = (here, other) if here < other else (other, here)
        if edge not in found:
            found.add(edge)
            missed = False
            if other not in known:
                known.add(other)
                nodes.append(other)
    return steps


class Asked:
    """Neighbours as they are asked for of the graph, at each step."""

    def __init__(self, neighbours: Callable[[int], Sequence[int]]) -> None:
        self._neighbours = neighbours

    def __getitem__(self, node: int) -> Sequence[int]:
        return self._neighbours(node)


def peer(name: str, folder: Path, walks: int) -> dict[str, float]:
    pairs = np.load(folder / "edges.npy")[:, [0, 2]]
    nodes = int(pairs.max()) + 1
    roots = np.load(folder / "roots.npy")[:walks] % nodes
    began = time.process_time()
    if name == "networkx":
        import networkx

        graph = networkx.Graph()
        graph.add_nodes_from(range(nodes))
        graph.add_edges_from(map(tuple, pairs.tolist()))
        asked = Asked(lambda node: list(graph.adj[node]))
    else:
        import rustworkx

        graph = rustworkx.PyGraph(multigraph=False)
        graph.add_nodes_from(range(nodes))
        graph.add_edges_from_no_data(list(map(tuple, pairs.tolist())))
        asked = Asked(graph.neighbors)
    built, peak = time.process_time() - began, memory()
    found = {"build": built, "memory": peak, "rate": timed(asked, roots[: walks // 10])}
    began = time.process_time()
    lists = [list(asked[node]) for node in range(nodes)]
    found["lists_build"] = built + time.process_time() - began
    return found | {"lists_rate": timed(lists, roots), "lists_memory": memory()}


def timed(around: Any, roots: Any) -> float:
    """Steps a second, the best of five."""
    draw, best = random.Random(1).random, 0.0
    for part in np.array_split(roots, 5):
        began = time.process_time()
        steps = sum(branching(around, root, draw) for root in part.tolist())
        best = max(best, steps / (time.process_time() - began))
    return best


# Ours


def ours(what: str, folder: Path, walks: int, threads: int) -> dict[str, float]:
    if what == "import":
        from webfarer.graph.dumps.importing import import_graph

        began = time.process_time()
        import_graph([folder / "graph.nt"], folder / "packed")
        return {"build": time.process_time() - began, "memory": memory()}
    if what == "layout":
        from webfarer.graph.packed.layout import EDGE, lay_out

        edges = np.load(folder / "edges.npy", mmap_mode="r")
        (folder / "layout").mkdir(exist_ok=True)

        def chunks() -> Any:
            for rows in np.array_split(edges, 16):
                chunk = np.empty(len(rows), EDGE)
                chunk["one"], chunk["relation"], chunk["other"] = rows.T
                yield chunk

        began = time.process_time()
        lay_out(chunks, int(edges.max()) + 1, folder / "layout")
        return {"build": time.process_time() - began, "memory": memory()}
    return walked(what, folder, walks, threads)


def walked(what: str, folder: Path, walks: int, threads: int) -> dict[str, float]:
    from webfarer.graph.packed.store import PackedGraph
    from webfarer.graph.walk import WalkSettings, walk

    before, began = memory(), time.perf_counter()
    graph = PackedGraph.open(folder / "packed")
    first = graph.neighbours(graph.node(graph.id(len(graph) // 2)))
    opened = time.perf_counter() - began
    if what == "open":
        return {"open": opened, "memory": memory(), "grown": memory() - before, "seen": len(first)}
    settings = WalkSettings(EDGES, BACK)
    roots = (np.load(folder / "roots.npy") % len(graph)).astype(np.uint32)
    if what == "python":

        def run(number: int) -> int:
            return sum(walk(graph.at, int(root), settings, 1, i).steps
                       for i, root in enumerate(roots[: walks // 10], number))  # fmt: skip
    else:
        from webfarer.graph.packed.kernels import walk_many

        lanes, many = (1, roots[:walks]) if what == "single" else (64, roots[: 10 * walks])

        def run(number: int) -> int:
            found = walk_many(graph.at, many, settings, 1, number * len(many), threads, lanes)
            return int(found.steps.sum())

        run(0)  # compiles, and brings what is walked into memory
    clock = time.process_time if threads == 1 else time.perf_counter
    best = 0.0
    for number in range(1, 6):
        began = clock()
        steps = run(number)
        best = max(best, steps / (clock() - began))
    return {"open": opened, "rate": best, "memory": memory()}


def memory() -> float:
    """The most memory this process has had, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the process was before it began this program
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# Together


def apart(python: str, args: argparse.Namespace, what: str, folder: Path, threads: int = 1) -> Any:
    command = [python, __file__, "--only", what, "--folder", str(folder)]
    command += ["--walks", str(args.walks), "--threads", str(threads)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        print(f"{what}: {ended.stderr.strip().splitlines()[-1]} (pip install {what}?)")
        return {}
    return json.loads(ended.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--walks", type=int, default=30_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--skip-import", action="store_true", help="keep the folder's graph")
    parser.add_argument("--folder", type=Path, help="where to put the graph; a new one by default")
    parser.add_argument("--only", choices=[*OURS, *PEERS])
    args = parser.parse_args()
    if args.only in PEERS:
        print(json.dumps(peer(args.only, args.folder, args.walks)))
    elif args.only:
        print(json.dumps(ours(args.only, args.folder, args.walks, args.threads)))
    elif args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
        compare(args, args.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(args, Path(folder))


def compare(args: argparse.Namespace, folder: Path) -> None:
    if not args.skip_import:
        generate(folder, max(2, args.edges // 10), args.edges)
        write_triples(folder)
    found: dict[str, Any] = {}
    for what in OURS:
        if what != "import" or not args.skip_import:
            found[what] = apart(sys.executable, args, what, folder)
    found["threads"] = apart(sys.executable, args, "many", folder, args.threads)
    for what in PEERS:
        found[what] = apart(args.peers, args, what, folder)
    show(found, args)


def show(found: dict[str, Any], args: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    edges = f"{args.edges:,} edges"
    table = Table(
        title=f"Branching walks, {edges}, on {platform.machine()}, {os.cpu_count()} cores"
    )
    for name in ("", "build CPU s", "open s", "M steps/s", "x networkx", "x lists", "peak MB"):
        table.add_column(name, justify="left" if not name else "right")
    rows = {
        "networkx": "networkx", "networkx_lists": "networkx, lists made first",
        "rustworkx": "rustworkx", "rustworkx_lists": "rustworkx, lists made first",
        "import": "packed: import of N-Triples", "layout": "packed: edges laid out",
        "open": "packed: opened", "python": "packed: Python walker", "single": "packed: one walk",
        "many": "packed: 64 side by side", "threads": f"the same, {args.threads} threads",
    }  # fmt: skip
    for name in PEERS:
        lists = {"build": "lists_build", "rate": "lists_rate", "memory": "lists_memory"}
        if got := found.get(name):
            found[f"{name}_lists"] = {key: got[place] for key, place in lists.items()}
    bases = [found.get(name, {}).get("rate") for name in ("networkx", "networkx_lists")]
    for key, title in rows.items():
        got = found.get(key) or {}
        rate = got.get("rate")
        table.add_row(
            title,
            f"{got['build']:.1f}" if "build" in got else "",
            f"{got['open']:.3f}" if "open" in got else "",
            f"{rate / 1e6:.2f}" if rate else "",
            *(f"{rate / base:.1f}" if rate and base else "" for base in bases),
            f"{got['memory']:,.0f}" if got else "",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
