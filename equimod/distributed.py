"""Embeddings of all ranks, with gradients: what a contrastive loss needs under data parallelism."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_alone = ContextVar("alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Within it this process computes as if it were the only one.

    For what every process computes for itself from the same data, such as an evaluation: gathered,
    each sample would meet copies of itself, and the numbers depend on how many processes there are.
    """
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def leave() -> None:
    """Ends this process's part in the process group, if there is one.

    Left to the interpreter's exit, gloo's threads are sometimes still running when their objects
    are destroyed, which aborts the process: its exit status is then lost.
    """
    if _joined():
        dist.destroy_process_group()


def rank() -> int:
    """This process's rank; 0 where no process group is initialised, or within `alone`."""
    return dist.get_rank() if _initialised() else 0


def world_size() -> int:
    """The number of processes; 1 where no process group is initialised, or within `alone`."""
    return dist.get_world_size() if _initialised() else 1


def gather(x: Tensor) -> Tensor:
    """The rows of every rank, in the order of the ranks; differentiable.

    The backward pass sums the gradients that all ranks have for this rank's rows. With W ranks, a
    loss that every rank computes as a mean over *its own* rows, against the gathered rows, hence
    hands each rank the gradient of the *sum* of the W losses, and the averaging of
    `DistributedDataParallel` turns it into the gradient of their mean: what one process with the
    whole batch computes. Every rank must call it, equally often: one that calls it alone waits.

    Args:
        x: `(N, ...)`, the same shape on every rank (drop an incomplete last batch).

    Returns:
        `(W * N, ...)`; `x` itself where there is one process.
    """
    if world_size() == 1:
        return x
    gathered: Tensor = _Gather.apply(x)
    return gathered


def all_sum(x: Tensor) -> Tensor:
    """The sum of a tensor over all processes; differentiable.

    The backward pass sums the gradients that all ranks have for it, as that of `gather` does: a
    loss of sums that every rank computes in full has, after the averaging of
    `DistributedDataParallel`, the gradient of one process. Every rank must call it, equally often.

    Args:
        x: of any shape, the same on every rank.

    Returns:
        The sum, of the same shape; `x` itself where there is one process.
    """
    if world_size() == 1:
        return x
    total: Tensor = _AllSum.apply(x)
    return total


def gather_rows(x: Tensor, device: torch.device) -> Tensor:
    """The rows of every process, in the order of the ranks, where each may have another number.

    Also within `alone`. No gradient flows through it.

    Args:
        x: `(n, F)` on the CPU; F may be 0 where n is.
        device: over which the processes talk: a GPU for NCCL.

    Returns:
        `(sum of n, F)` on the CPU, without padding; `x` itself where there is one process.
    """
    if not _joined() or dist.get_world_size() == 1:
        return x
    world = dist.get_world_size()
    shapes = torch.empty(world, 2, dtype=torch.int64, device=device)
    mine = torch.tensor([x.shape], dtype=torch.int64, device=device)
    dist.all_gather_into_tensor(shapes, mine)
    rows, columns = shapes.max(0).values.tolist()
    padded = torch.zeros(rows, columns, dtype=x.dtype, device=device)
    padded[: x.shape[0], : x.shape[1]] = x.to(device)
    everyone = padded.new_empty(world * rows, columns)
    dist.all_gather_into_tensor(everyone, padded)
    parts = everyone.cpu().split(rows)
    return torch.cat([part[:n] for part, n in zip(parts, shapes[:, 0].tolist(), strict=True)])


def all_objects(mine: Any) -> list[Any]:
    """A plain object of every process, in the order of the ranks, on all of them."""
    if not _joined():
        return [mine]
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, mine)
    return found


def _initialised() -> bool:
    return not _alone.get() and _joined()


def _joined() -> bool:
    """Whether this process is in a process group, be it within `alone`."""
    return dist.is_available() and dist.is_initialized()


class _Gather(torch.autograd.Function):
    """All-gather along the first dimension, whose backward is a reduce-scatter.

    Own, because torch deprecates `torch.distributed.nn.functional.all_gather` and keeps what
    replaces it private.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gathered = x.new_empty(dist.get_world_size() * x.shape[0], *x.shape[1:])
        dist.all_gather_into_tensor(gathered, x.contiguous())
        return gathered

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # all-reduce and slice, since gloo has no reduce-scatter in every torch that we support;
        # the clone because autograd may hand the same gradient to another node
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


class _AllSum(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of all processes' gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total
