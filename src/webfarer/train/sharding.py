"""Weights, gradients and optimiser state in shards, a share in each process (FSDP2).

For models whose training does not fit one device: of their 16 bytes a parameter each of n processes
holds 16 / n, and gathers one layer at a time as it is needed. Zhao et al. 2023, in the form of
`torch.distributed.fsdp.fully_shard`, with gradients that are summed where its default averages.
The model is loaded and tried on the CPU, then moved a layer at a time; a process's engine holds all
weights, in the engine's own dtype.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def shard(root: nn.Module, apart: nn.Module | None, size: int, device: str, bf16: bool) -> None:
    """Shards a module over `size` processes and moves it to the kind of device, in place.

    Each layer is gathered on its own; what is outside of layers (embeddings, output) with `root`,
    whose forward pass all use of them must be part of. `apart` is a part of it that stays in
    float32 where `bf16` has the others computed in bfloat16.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
    from transformers.modeling_layers import GradientCheckpointingLayer

    mesh = init_device_mesh(device, (size,))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy()
    for layer in [part for part in root.modules() if isinstance(part, GradientCheckpointingLayer)]:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    if apart is not None:
        fully_shard(apart, mesh=mesh)
    fully_shard(root, mesh=mesh, mp_policy=policy)
    for part in root.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)  # summed: the loss is divided already
            part.set_force_sum_reduction_for_comms(True)  # gloo knows no scaled sum


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a `DTensor`, whose module takes a second to import."""
    return hasattr(tensor, "full_tensor")


@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """The whole of a sharded tensor, on the CPU; any other as it is. All processes call it."""
    sharded: Any = tensor
    return sharded.full_tensor().cpu() if is_sharded(tensor) else tensor


@torch.no_grad()
def like(parameter: Tensor, value: Tensor) -> Tensor:
    """The value, which all processes have whole, where and as the parameter is: on its device and,
    where it has the parameter's shape, in the same shards."""
    value = value.to(parameter.device)
    if not is_sharded(parameter) or value.shape != parameter.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    sharded: Any = parameter
    return distribute_tensor(value, sharded.device_mesh, sharded.placements, src_data_rank=None)
