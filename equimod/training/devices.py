"""The devices, processes and precision that a run computes with."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    TorchElasticEnvironment,
)
from lightning_fabric.strategies import ModelParallelStrategy, Strategy

from equimod.config import RunConfig
from equimod.training.sharding import shard

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun, and a job of `equimod submit`, tell each process."""


class DeviceError(ValueError):
    """The run asks for devices that this machine does not have."""


@dataclass(frozen=True)
class World:
    """How many processes compute together.

    Attributes:
        nodes: machines.
        devices: processes on each of them.
        environment: what tells each of them its place.
    """

    nodes: int
    devices: int
    environment: ClusterEnvironment

    @property
    def size(self) -> int:
        """All processes together."""
        return self.nodes * self.devices


def find_world(config: RunConfig) -> World:
    """The processes of a run: those that were started for it, or those that it asks for.

    Raises:
        DeviceError: whoever started this process tells it something impossible, or the run asks for
            several machines, which only a launcher can give.
    """
    training = config.training
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return _started()
    if training.nodes > 1:
        raise DeviceError(
            f"training.nodes is {training.nodes}: start it on every machine with torchrun, or with "
            "`equimod submit` on a cluster"
        )
    # never what Slurm says of an allocation in which somebody starts a run by hand
    return World(1, training.devices, LightningEnvironment())


def _started() -> World:
    """The world as torchrun, or a job, tells it."""
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        raise DeviceError(
            f"RANK and WORLD_SIZE are set, but {', '.join(missing)} not: a launcher such as "
            "torchrun sets all; unset them to train without one"
        )
    numbers = {}
    for name in VARIABLES[:4]:
        if not os.environ[name].isdecimal():
            raise DeviceError(f"{name} must be a number, got {os.environ[name]!r}")
        numbers[name] = int(os.environ[name])
    rank, size, local_rank, devices = numbers.values()
    if not (rank < size and local_rank < devices) or size % devices:
        told = ", ".join(f"{name}={value}" for name, value in numbers.items())
        raise DeviceError(f"processes cannot be numbered so: {told}")
    return World(size // devices, devices, TorchElasticEnvironment())


def _strategy(config: RunConfig, world: World) -> str | Strategy:
    """What the processes share; one process has everything for itself."""
    if world.size == 1:
        return "auto"
    if config.training.strategy == "ddp":
        return "ddp"
    # FSDP2, since Lightning's `FSDPStrategy` refuses CPUs and flattens parameters, which LARS needs
    # one by one
    return ModelParallelStrategy(shard, data_parallel_size=world.size, tensor_parallel_size=1)


def make_fabric(config: RunConfig) -> Fabric:
    """Devices, precision and processes of a run.

    Raises:
        DeviceError: there are fewer GPUs than it asks for, or see `find_world`.
    """
    training, world = config.training, find_world(config)
    gpus = torch.cuda.device_count()
    on_gpu = training.accelerator == "cuda" or (training.accelerator == "auto" and gpus)
    if on_gpu and world.devices > gpus:
        raise DeviceError(
            f"{world.devices} processes on this machine want a GPU each, found {gpus}"
        )
    return Fabric(
        accelerator=training.accelerator,
        devices=world.devices,
        num_nodes=world.nodes,
        strategy=_strategy(config, world),
        precision=PRECISIONS[training.precision],
        plugins=[world.environment],
    )
