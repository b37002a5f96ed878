"""The devices, processes and precision that a run computes with."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from equimod.config import RunConfig

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}


class DeviceError(ValueError):
    """The run asks for devices that this machine does not have."""


def make_fabric(config: RunConfig) -> Fabric:
    """Devices, precision and processes of a run.

    Raises:
        DeviceError: there are fewer GPUs than it asks for.
    """
    training = config.training
    gpus = torch.cuda.device_count()
    on_gpu = training.accelerator == "cuda" or (training.accelerator == "auto" and gpus)
    if on_gpu and training.devices > gpus:
        raise DeviceError(f"training.devices asks for {training.devices} GPUs, found {gpus}")
    return Fabric(
        accelerator=training.accelerator,
        devices=training.devices,
        precision=PRECISIONS[training.precision],
    )
