"""Several processes that train one model: what each of them does, and what all agree on.

Under `torchrun` every process runs the same program. Each makes its share of the attempts and
computes its share of the loss; whatever is decided is decided by all of them alike, from the same
data; the first of them alone writes files. Gradients are summed, never averaged: each is that of a
sum over some of the sequences, divided by the normaliser of all. One process is the same code, for
a sum over one process is what it was.

An error of a share's work comes with the results, and all raise it. An error elsewhere ends its
process, whereupon `torchrun` ends the others. What comes from other processes is pickled by this
program and read by no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from webfarer.train.sharding import is_sharded
from webfarer.types import BadInput, WebfarerError

_BUCKET = 1 << 24  # numbers
_LETTING_GO = 0.2  # seconds
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's number among those of the run, and how many they are.

    With more than one, torch's default process group is to be initialised, with a backend for CPU
    tensors beside that of the devices. Each method is called by all of them, in the same order.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, items: Sequence[T], work: Callable[[Sequence[T]], Sequence[R]]) -> list[R]:
        """What `work` gives for all items, in their order, each process working on a run of them.

        Raises on all what it raises on one: BadInput as that, all else as WebfarerError.
        """
        begin, end = (len(items) * number // self.size for number in (self.rank, self.rank + 1))
        parts = self._all(lambda: work(items[begin:end]) if begin < end else [])
        return [each for part in parts for each in part]

    def told(self, work: Callable[[], R]) -> R:
        """What `work` gives in the first process, which alone does it; raises on all what it raises
        there."""
        return self._all(lambda: work() if self.first else None)[0]  # pyright: ignore

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over processes, in place and returned."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def gathered(self, value: R) -> list[R]:
        """The value of each process, in their order."""
        return self._all(lambda: value)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Every gradient becomes the sum of all processes'; one that has none adds nothing.

        Those of sharded parameters were summed in the backward pass."""
        plain = [one for one in parameters if not is_sharded(one)]
        if self.size == 1 or not plain:
            return
        somewhere = self.sum(torch.tensor([int(one.grad is not None) for one in plain])).tolist()
        used = [one for one, count in zip(plain, somewhere, strict=True) if count]
        for one in used:
            one.grad = torch.zeros_like(one) if one.grad is None else one.grad
        for bucket in _buckets(used):
            flat = self.sum(torch.cat([one.grad.flatten() for one in bucket]))  # pyright: ignore
            parts = flat.split([one.numel() for one in bucket])
            for one, part in zip(bucket, parts, strict=True):
                one.grad.copy_(part.view_as(one))  # pyright: ignore[reportOptionalMemberAccess]

    def _all(self, work: Callable[[], R]) -> list[R]:
        """What `work` gives in each process. The first error of any is raised in all."""
        if self.size == 1:
            return [work()]
        error: Exception | None = None
        mine: R | None = None
        try:
            mine = work()
        except Exception as caught:  # whatever it is, the others must hear of it
            error = caught
        boxes: list[Any] = [None] * self.size
        dist.all_gather_object(boxes, (mine, _told(error)))
        if error is not None:
            raise error
        for rank, (_, said) in enumerate(boxes):
            if said is not None:
                exit_code, text = said
                kind = BadInput if exit_code == BadInput.exit_code else WebfarerError
                raise kind(f"process {rank}: {text}")
        return [box[0] for box in boxes]


def leave() -> None:
    """Leaves the process group, as the last thing that a process has to do with it.

    Gloo's threads let go of the tensors of the last sums a moment after everyone has them, which
    takes Python's lock; torch does not wait for them, and one that comes as Python is ending aborts
    the process: seen in one run of three. Hence the pause, in which they have the lock.
    """
    dist.destroy_process_group()
    time.sleep(_LETTING_GO)


def peer_died(error: BaseException) -> bool:
    """Whether the error says that another process of the group is gone: gloo has no type for it."""
    return isinstance(error, RuntimeError) and "by peer" in str(error)


def _told(error: Exception | None) -> tuple[int, str] | None:
    """An error as it is told to others: its exit code and its one line."""
    if error is None:
        return None
    if isinstance(error, WebfarerError):
        return error.exit_code, str(error)
    return WebfarerError.exit_code, f"{type(error).__name__}: {' '.join(str(error).split())}"


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Neighbours of one type and device, summed together: a sum of many small tensors costs the
    time of asking for each. A bucket has at most 2^24 numbers, or one parameter."""
    bucket: list[nn.Parameter] = []
    for one in parameters:
        kind, size = (one.dtype, one.device), sum(each.numel() for each in bucket)
        other = bucket and kind != (bucket[0].dtype, bucket[0].device)
        if bucket and (other or size + one.numel() > _BUCKET):
            yield bucket
            bucket = []
        bucket.append(one)
    if bucket:
        yield bucket


def dealt(lengths: Sequence[int], places: Iterable[int], size: int) -> list[list[int]]:
    """The places dealt to `size` processes, so that each has about as many tokens: the longest
    first, always to the one that has least. The same arguments give the same shares; where there
    are fewer places than processes, some get none."""
    shares: list[list[int]] = [[] for _ in range(size)]
    held = [0] * size
    for place in sorted(places, key=lambda place: -lengths[place]):
        least = held.index(min(held))
        shares[least].append(place)
        held[least] += lengths[place]
    return shares
