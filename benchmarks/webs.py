"""The agent on four webs: a procedural world in process, the same world over HTTP from a server in
another process, Python's documentation crawled into an archive, and a piece of Wikidata.

On each, the scripted expert and a model attempt the same tasks, one attempt at a time, so that the
time of a tool is its own. Attempts on the first two webs are compared one by one: every thought,
call, observation and answer has to be the same. Prints a line for each web and policy.

    webfarer run && webfarer run --graph path/to/wikidata --out runs/wikidata
    python benchmarks/webs.py --model runs/quickstart/sft/model --wikidata path/to/wikidata \
        --wikidata-model runs/wikidata/sft/model

A web whose pages are not here is left out, and said. Without --model it is the base model that
comes with Webfarer, which answers next to nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import torch
from documentation_graph import documentation_graph

from webfarer.cli.agents import arena, policy_named
from webfarer.graph.files import load, save
from webfarer.graph.worlds.world import build_world
from webfarer.policy.base import Policy
from webfarer.policy.expert import Expert
from webfarer.recipes import load_recipe
from webfarer.rollout.collect import collect, jobs_for
from webfarer.rollout.world import Elsewhere, World
from webfarer.synth.tasks import Source, make_tasks
from webfarer.types import Task, Trajectory
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.frozen import ArchiveWeb

WEBFARER = (sys.executable, "-m", "webfarer")
HTML = Path("/usr/share/doc/python3.11/html")
DOCUMENTATION = "http://python-docs.example"
WIKIDATA = "Wikidata excerpt, in process"
COLUMNS = ("web", "policy", "attempts", "correct %", "turns", "tools ms/turn", "failures")
WIDTHS = (32, 8, 10, 11, 7, 15, 10)


# The webs


def webs(args: argparse.Namespace, folder: Path, stack: ExitStack) -> Iterator[tuple[str, World]]:
    """Each web with its name, made when its turn comes."""
    save(build_world(args.seed, args.size), folder / "world")
    graph = load(folder / "world")
    yield "procedural, in process", World(graph)
    address = stack.enter_context(served_elsewhere(folder / "world"))
    yield "procedural, over HTTP", World(graph, via=address)
    if args.archive or args.documentation.is_dir():
        archive = args.archive or crawled(args.documentation, folder / "archive")
        yield "Python documentation, crawled", documentation(archive)
    else:
        print(f"left out: Python's documentation, which is not in {args.documentation}")
    if args.wikidata and args.wikidata.is_dir():
        yield WIKIDATA, World(load(args.wikidata))
    else:
        print(f"left out: the Wikidata excerpt, which is not in {args.wikidata}: give --wikidata")


@contextmanager
def served_elsewhere(folder: Path) -> Iterator[str]:
    """The address of a server of that world, in another process."""
    command = [*WEBFARER, "web", "serve", str(folder), "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if line.startswith("Serving at "))
            yield said.split()[2]
        finally:
            process.terminate()


def crawled(site: Path, out: Path) -> Path:
    """The archive of a crawl of a folder's pages, served on loopback."""
    with static(site) as address:
        route = f"{DOCUMENTATION.partition('://')[2]}={address}"
        command = [*WEBFARER, "web", "crawl", f"{DOCUMENTATION}/", "--out", str(out)]
        subprocess.run(
            [*command, "--route", route, "--quiet"], check=True, stdout=subprocess.DEVNULL
        )
    return out


@contextmanager
def static(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def documentation(folder: Path) -> World:
    """The crawled pages, and the graph that is read off them."""
    web = ArchiveWeb(Archive.open(folder))
    library = (url for url in web.urls() if "/library/" in url and url.endswith(".html"))
    graph, urls = documentation_graph(map(web.page, library))
    return World(graph, elsewhere=Elsewhere(web, urls.__getitem__))


# Attempts


def tasks_of(world: World, args: argparse.Namespace) -> list[Task]:
    """Half of them look-ups, half chains of two or three."""
    wanted = {1: args.tasks // 2, 2: args.tasks - args.tasks // 2}
    source = Source(world.graph, world.url_of)
    return make_tasks(source, seed=args.seed, split="test", per_level=wanted, recipe="webs")


def attempts(
    world: World, tasks: Sequence[Task], policy: Policy, count: Callable[[str], int], seed: int
) -> list[Trajectory]:
    """One attempt at each task at temperature 0, one after another."""
    recipe = load_recipe("quickstart")
    place = arena({world.graph.name: world}, count, recipe.tools, recipe.rollout, seed)
    with tempfile.TemporaryDirectory() as folder:
        jobs = jobs_for(tasks, samples=0, greedy=True)
        parts = collect(policy, place, jobs, Path(folder) / "attempts", chunk=1)
        return list(parts.read(Trajectory))


def timeless(trajectory: Trajectory) -> Trajectory:
    """The trajectory without what a clock said."""
    none = {"queue_s": 0.0, "model_s": 0.0, "tool_s": 0.0}
    turns = (
        turn.model_copy(update={"usage": turn.usage.model_copy(update=none)})
        for turn in trajectory.turns
    )
    return trajectory.model_copy(update={"turns": tuple(turns)})


def row(web: str, policy: str, made: Sequence[Trajectory]) -> str:
    calls = [turn for one in made for turn in one.turns if turn.call is not None]
    correct = sum(one.verdict is not None and one.verdict.status == "correct" for one in made)
    cells = (
        web,
        policy,
        str(len(made)),
        f"{100 * correct / max(1, len(made)):.0f}",
        f"{sum(len(one.turns) for one in made) / max(1, len(made)):.1f}",
        f"{1000 * sum(turn.usage.tool_s for turn in calls) / max(1, len(calls)):.2f}",
        str(sum(one.failure is not None for one in made)),
    )
    return line(cells)


def line(cells: Sequence[str]) -> str:
    first, *rest = zip(cells, WIDTHS, strict=True)
    return first[0].ljust(first[1]) + "".join(text.rjust(width) for text, width in rest)


def compare(web: str, policy: str, made: Sequence[Trajectory], same: Sequence[Trajectory]) -> None:
    """Raises AssertionError where an attempt differs in anything but times."""
    for one, other in zip(made, same, strict=True):
        assert timeless(one) == timeless(other), f"{policy}, {web}: {one.id} differs"
    turns = sum(len(one.turns) for one in made)
    print(f"  {policy}: {len(made)} attempts ({turns} turns) are the same as in process")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="base", help="a model's folder")
    parser.add_argument("--wikidata-model", default="", help="another one for Wikidata")
    parser.add_argument("--tasks", type=int, default=40, help="on each web")
    parser.add_argument("--size", type=int, default=150, help="entities of the procedural world")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--documentation", type=Path, default=HTML, help="its pages, as installed")
    parser.add_argument("--archive", type=Path, help="a crawl of it that is there already")
    parser.add_argument("--wikidata", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{platform.machine()}, {args.threads} threads, Python {platform.python_version()}")
    print(f"{args.tasks} tasks on each web, one attempt at a time; model: {args.model}\n")
    print(line(COLUMNS))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        in_process: Mapping[str, list[Trajectory]] = {}
        recipe = load_recipe("quickstart")
        named = partial(
            policy_named, worlds={}, rollout=recipe.rollout, temperature=recipe.eval.temperature
        )
        model, renderer = named(args.model)
        for web, world in webs(args, folder, stack):
            asyncio.run(world.web.search([web], 1))  # so that no attempt waits for the index
            tasks = tasks_of(world, args)
            if web == WIKIDATA and args.wikidata_model:
                model, renderer = named(args.wikidata_model)
            policies = {"expert": Expert({world.graph.name: world.atlas}), "model": model}
            made = {}
            for name, policy in policies.items():
                made[name] = attempts(world, tasks, policy, renderer.count, args.seed)
                print(row(web, name, made[name]), flush=True)
            if world.via:
                for name in policies:
                    compare(web, name, made[name], in_process[name])
            in_process = in_process or made


if __name__ == "__main__":
    main()
