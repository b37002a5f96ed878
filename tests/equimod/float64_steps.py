"""Steps of a learner in float64, by one process or by several that share the batch."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

import augspec
from equimod.config import Run
from equimod.data import batches
from equimod.sync_batch_norm import synchronised
from equimod.training import sharding
from equimod.training.inputs import Inputs, render
from equimod.training.learner import Learner
from equimod.training.origin import code_layout, code_reader

CPU = torch.device("cpu")


def float64_steps(
    run: Run, count: int, meeting: Path, rank: int = 0, world: int = 1, strategy: str = "ddp"
) -> list[torch.Tensor]:
    """The losses of the first steps of a run's shared part, and the state after them.

    Args:
        run: what is trained.
        count: how many steps, all in the first epoch.
        meeting: a new file, at which the processes find each other.
        rank: of this process.
        world: how many processes there are.
        strategy: `ddp` or `fsdp`.
    """
    torch.set_num_threads(1)
    if world > 1:
        place = f"file://{meeting}"
        dist.init_process_group("gloo", init_method=place, rank=rank, world_size=world)
    config = run.shared
    training = config.training
    data = config.data.build("train", run.base)
    pipeline = augspec.compile(run.spec, seed=config.seed)
    reader, width = code_reader(pipeline, config), code_layout(pipeline.plan, config).width
    learner = Learner.from_config(config, width, pipeline.plan).double()
    model = _shared_out(learner, world, strategy) if world > 1 else learner
    optimizer = learner.build_optimizer(training.optimizer)
    found = []
    parts = batches(
        data,
        batch_size=training.batch_size,
        seed=config.seed,
        epoch=0,
        rank=rank,
        world_size=world,
    )
    for step, batch in enumerate(itertools.islice(parts, count)):
        told = {"count": len(data), "with_reference": learner.needs_reference, "device": CPU}
        loss = model(*_double(render(config, pipeline, reader, batch, 0, **told)))["loss"]
        optimizer.zero_grad()
        loss.backward()
        if training.clip_gradients is not None:
            training.clip_gradients.clip(learner.parameters())
        learner.method.before_step(step / count)
        optimizer.step()
        learner.method.after_step((step + 1) / count)
        total = loss.detach().clone()
        if world > 1:
            dist.all_reduce(total)
        found.append(total / world)
    assert len(found) == count
    found += sharding.whole(learner.state_dict()).values()
    if world > 1:
        dist.destroy_process_group()
    return found


def _shared_out(learner: Learner, world: int, strategy: str) -> torch.nn.Module:
    synchronised(learner, CPU)
    if strategy == "ddp":
        return DistributedDataParallel(learner)
    sharding.BLOCK = 100  # so that layers of this small network are gathered one by one
    model = sharding.shard(learner, init_device_mesh("cpu", (world,)))
    parameters = [*model.parameters()]
    assert all(isinstance(parameter, DTensor) for parameter in parameters)
    mine = sum(sharding.own(parameter).numel() for parameter in parameters)
    assert mine < 1.3 * sum(parameter.numel() for parameter in parameters) / world
    return model


def _double(inputs: Inputs) -> list[object]:
    return [
        part
        if part is None
        else part.double()
        if isinstance(part, torch.Tensor)
        else [tensor.double() for tensor in part]
        for part in inputs
    ]
