"""Weights, gradients and the optimiser's state shared out over processes (FSDP2), and whole again.

Each process keeps a slice of every tensor and gathers a block's weights only while it computes with
them. A checkpoint holds whole tensors whatever the strategy, so that any other goes on from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from equimod.ssl.target import TargetMethod
from equimod.training.learner import Learner

BLOCK = 1_000_000
"""Parameters from which on a block is gathered by itself; for fewer, a message is not worth it."""


def shard(learner: Learner, mesh: DeviceMesh) -> Learner:
    """Shares out the parameters of a learner, in place; it computes what it did before.

    On GPUs and CPUs alike. Only modules that are called as a whole are gathered by themselves:
    the parts of the learner, and large blocks in a row.

    Args:
        learner: the same on all processes; an optimiser is built for it afterwards.
        mesh: of all processes; of several dimensions, the one called `data_parallel`.
    """
    if mesh.mesh_dim_names is not None:
        mesh = mesh["data_parallel"]
    for part in _parts(learner):
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
    return learner


def _parts(learner: Learner) -> list[nn.Module]:
    """What is gathered by itself, the inner before the outer."""
    named = [learner, learner.encoder, learner.method]
    named += [learner.equimod] if learner.equimod is not None else []
    # of its own, since frozen: nothing of it is gathered again for the backward pass
    named += [learner.method.target] if isinstance(learner.method, TargetMethod) else []
    rows = (module for module in learner.modules() if isinstance(module, nn.Sequential))
    blocks = {block for row in rows for block in row if _size(block) >= BLOCK}
    return [module for module in [*learner.modules()][::-1] if module in {*named, *blocks}]


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def is_sharded(module: nn.Module) -> bool:
    """Whether `shard` has shared out its parameters."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def own(tensor: Tensor) -> Tensor:
    """This process's slice of a tensor that is shared out; otherwise the tensor."""
    local: Tensor = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return local


def whole(tensors: Mapping[str, Tensor], *, keep: bool = True) -> dict[str, Tensor]:
    """Tensors that are shared out, whole and on the CPU; every process must call it.

    Args:
        tensors: the same names on all processes.
        keep: whether this process wants them; otherwise it only gives its slices.
    """
    found = {}
    for name, tensor in tensors.items():
        # one after the other: of the whole weights, a GPU holds one tensor at a time
        full = tensor.detach()
        full = full.full_tensor() if isinstance(full, DTensor) else full
        if keep:
            found[name] = full.cpu()
    return found


def placed(tensor: Tensor, like: Tensor | None) -> Tensor:
    """A whole tensor, shared out as `like` is if it is of its shape."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    # every process has read it: nothing needs to be sent
    return distribute_tensor(
        tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None
    )


def share_statistics(learner: nn.Module) -> None:
    """Gives all processes the batch statistics of the first one; every process must call it."""
    for buffer in learner.buffers():
        dist.broadcast(buffer, 0)
