"""Work of a stage done by several processes on one machine, side by side.

On a CPU two processes of one thread make a third more attempts a second than one of two threads,
for a small model's forward pass is too short to be shared out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webfarer.types import WebfarerError

if TYPE_CHECKING:
    from webfarer.train.processes import Ranks

_MOST = 4  # each holds a model, its cache and the worlds
_NEEDED = ("webfarer.policy.local", "webfarer.train.rl", "webfarer.cli.run_folder")
_POLL = 0.5  # seconds
_FORKS = "forkserver" in multiprocessing.get_all_start_methods()


def workers_for(asked: int, chunks: int, *, local: bool) -> int:
    """How many processes: those asked for, or (0) one a core up to four; one where a model runs on
    an accelerator, which they would only share. `local` says that no model runs. Never more than
    there are chunks."""
    if not asked and not local:
        from webfarer.policy.model import pick_device

        asked = 0 if pick_device().type == "cpu" else 1
    return max(1, min(asked or min(_MOST, os.cpu_count() or 1), chunks))


def side_by_side(
    count: int, work: Callable[..., None], given: tuple[Any, ...], watch: Callable[[], None]
) -> None:
    """Runs `work(*given, number, count)` in `count` processes and waits, calling `watch` meanwhile.

    A process that fails says nothing: what it left undone is for the caller to do, and to fail at.
    The processes end with this one, however it ends.
    """
    with _started(range(count), count, work, given) as processes:
        while waiting := [process for process in processes if process.is_alive()]:
            waiting[0].join(_POLL)
            watch()


@contextmanager
def alongside(count: int, work: Callable[..., None], given: tuple[Any, ...]) -> Iterator[Ranks]:
    """This process as the first of `count` that train one model; the others do
    `work(*given, ranks)`, and end with this block."""
    from webfarer.train.processes import Ranks, peer_died

    if count == 1:
        yield Ranks()
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            with (
                _started(range(1, count), count, _join, (folder, work, given)),
                threads_shared(count),
                _member(folder, 0, count) as ranks,
            ):
                yield ranks
        except RuntimeError as error:
            if not peer_died(error):
                raise
            said = [path.read_text() for path in sorted(Path(folder).glob("said-*"))]
            raise WebfarerError(
                f"a process of this run died ({'; '.join(said) or 'killed, or out of memory'}): "
                "run the same command again to go on, with workers=1 if it happens again"
            ) from error


def _join(
    folder: str, work: Callable[..., None], given: tuple[Any, ...], rank: int, count: int
) -> None:
    with _member(folder, rank, count) as ranks:
        try:
            work(*given, ranks)
        except Exception as error:  # nobody sees what this process would say of it
            said = " ".join(str(error).split()) or type(error).__name__
            (Path(folder) / f"said-{rank}").write_text(said)
            raise


@contextmanager
def _member(folder: str, rank: int, count: int) -> Iterator[Ranks]:
    import torch.distributed as dist

    from webfarer.train.processes import Ranks, leave

    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    try:
        yield Ranks(rank, count)
    finally:
        leave()


@contextmanager
def _started(
    numbers: range, count: int, work: Callable[..., None], given: tuple[Any, ...]
) -> Iterator[list[BaseProcess]]:
    context = _context()
    processes = [
        context.Process(target=_begin, args=(work, given, number, count), daemon=True)
        for number in numbers
    ]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def make_ready() -> None:
    """Begins to import what processes will need, in the background: that takes seconds."""
    if _FORKS:
        _context()
        forkserver.ensure_running()


def _context() -> Any:
    """Processes are forked from one that has imported everything and computed nothing; where there
    is no such thing, each begins anew."""
    context = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
    if _FORKS:
        context.set_forkserver_preload(list(_NEEDED))
    return context


def _begin(work: Callable[..., None], given: tuple[Any, ...], number: int, count: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person stops the parent, which stops us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device, not a path of ours
        os.dup2(nowhere.fileno(), 2)
    with threads_shared(count):
        work(*given, number, count)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def threads_shared(count: int) -> Iterator[None]:
    """Torch's threads divided by so many processes, within the block."""
    if count == 1:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // count))
    try:
        yield
    finally:
        torch.set_num_threads(before)
