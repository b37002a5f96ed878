"""The floor: what moving the memory costs that no pipeline can avoid.

On a CPU this is a copy of the two float32 views between buffers that exist already, so that neither
drawing nor reading the source nor allocating the result counts. On a GPU, where a pipeline is bound
by memory, it is what the issue of such kernels is measured by: the time to read the source once and
to write the views once. A copy of n bytes moves 2n, so half of those bytes are copied.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_bench.contestant import Contestant, Job, Prepared


def copy_of_views(job: Job) -> Prepared:
    """Copies two views into two others."""
    size = job.workload.recipe().size
    shape = (2, job.workload.batch, 3, size, size)
    source, target = torch.rand(shape, device=job.device), torch.empty(shape, device=job.device)
    return Prepared(lambda: tuple(target.copy_(source)))


def bandwidth(job: Job) -> Prepared:
    """Moves as many bytes as the source and the two views have, half of them in each direction."""
    moved = job.batch().nbytes + job.workload.view_bytes()
    source = torch.zeros(moved // 2, dtype=torch.uint8, device=job.device)
    target = torch.empty_like(source)

    def views() -> tuple[Tensor]:
        return (target.copy_(source),)

    return Prepared(views)


CONTESTANTS = (
    Contestant("floor", "copy of the views (floor)", copy_of_views, devices=("cpu",), floor=True),
    Contestant("floor", "memory floor", bandwidth, devices=("cuda",), floor=True),
)
