"""Several processes of one command, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from webfarer.types import BadInput, WebfarerError

if TYPE_CHECKING:
    from webfarer.train.processes import Ranks

_PATIENCE = timedelta(hours=2)  # for the slowest process's attempts; of one that dies all hear
_SAID = "webfarer/said"


@contextmanager
def processes() -> Iterator[Ranks]:
    """This process among those that `torchrun` started, on the accelerator of its number; one alone
    without it.

    Where something goes wrong, the process that fails first says so; those that fail with it end in
    silence. Raises BadInput where a machine has fewer accelerators than processes.
    """
    from webfarer.train.processes import Ranks, leave, peer_died

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://", timeout=_PATIENCE))
    try:
        backend = _backend()
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
        yield Ranks(rank, size)
        dist.barrier()  # none leaves while others still write
    except (Exception, KeyboardInterrupt) as error:
        if store.add(_SAID, 1) > 1:
            raise typer.Exit(getattr(error, "exit_code", 1)) from error
        if peer_died(error):
            raise WebfarerError(
                "another process of this run died: run the same command again to go on"
            ) from error
        raise
    finally:
        if dist.is_initialized():
            leave()


def _backend() -> str:
    """Chooses this process's device; returns what connects tensors on it and on the CPU."""
    import torch
    import torch.distributed as dist

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return "gloo"
    local, there = int(os.environ["LOCAL_RANK"]), torch.accelerator.device_count()
    if local >= there:
        raise BadInput(
            f"process {local + 1} of this machine has no accelerator, there are {there}: "
            f"give --nproc-per-node {there}"
        )
    torch.accelerator.set_device_index(local)
    kind = accelerator.type
    return f"cpu:gloo,{kind}:{dist.get_default_backend_for_device(kind)}"
