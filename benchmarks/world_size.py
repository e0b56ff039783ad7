"""A large world: seconds and memory to build it and to index all its pages, and how long a search
takes, in each language, in a process of its own. Queries are a third entity names, a third relation
and name, a third whole questions; snippets are part of a search. Prints a table.

    python benchmarks/world_size.py --size 100000
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import random
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from webfarer.graph.graph import KnowledgeGraph
from webfarer.graph.worlds.world import build_world
from webfarer.synth.tasks import Source, make_tasks
from webfarer.web.site import GraphWeb

QUERIES = 400


def queries(graph: KnowledgeGraph, web: GraphWeb) -> list[str]:
    """Names, relations of names and level-1 questions, as many of each."""
    rng = random.Random(7)
    made = []
    form = "{0}的{1}" if graph.language == "zh" else "{1} of {0}"
    for entity in rng.sample(list(graph.entities), min(QUERIES, len(graph.entities))):
        relation = rng.choice(graph.facts_of(entity)).relation
        made += [
            graph.label(entity),
            form.format(graph.label(entity), graph.relation_label(relation)),
        ]
    source = Source(graph, web.url_of)
    tasks = make_tasks(source, seed=3, split="test", per_level={1: QUERIES}, recipe="benchmark")
    made += [task.question for task in tasks]
    return rng.sample(made, len(made))


def measure(language: str, size: int) -> list[str]:
    """A row of the table."""
    wall, cpu = time.perf_counter(), time.process_time()
    graph = build_world(1, size, language)
    built = time.perf_counter() - wall
    web = GraphWeb(graph)
    index = web.index
    total, busy = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    row = [language, f"{len(graph.facts):,}", f"{len(index):,}", f"{built:.1f}",
           f"{total - built:.1f}", f"{total:.1f} ({busy:.1f})", f"{peak:,.0f}"]  # fmt: skip
    asked = queries(graph, web)
    for k in (3, 10):
        times, threads = [], []
        for query in asked:
            wall, cpu = time.perf_counter(), time.thread_time()
            index.search(query, k)
            threads.append(1e3 * (time.thread_time() - cpu))
            times.append(1e3 * (time.perf_counter() - wall))
        p95 = quantiles(times, n=20)[-1]
        row.append(f"{median(times):.2f} ({median(threads):.2f}), {p95:.2f}")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000)
    given = parser.parse_args()
    title = (f"A world of {given.size:,} entities. {platform.platform()}, {os.cpu_count()} cores, "
             f"Python {sys.version.split()[0]}; CPU time in brackets")  # fmt: skip
    table = Table(title=title)
    for name in ("", "facts", "pages", "world s", "pages and index s", "both s", "peak MB",
                 "search of 3: p50, p95 ms", "search of 10: p50, p95 ms"):  # fmt: skip
        table.add_column(name, justify="right")
    for language in ("en", "zh"):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            table.add_row(*pool.submit(measure, language, given.size).result())
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
