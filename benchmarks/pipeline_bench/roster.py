"""All contestants, in the order of the report."""

from __future__ import annotations

from pipeline_bench import (
    floor,
    ours,
    peer_albumentations,
    peer_kornia,
    peer_kornia_best,
    peer_pil,
    peer_torchvision,
)
from pipeline_bench.contestant import Contestant

_MODULES = (
    ours,
    peer_kornia_best,
    peer_kornia,
    peer_albumentations,
    peer_pil,
    peer_torchvision,
    floor,
)
REFERENCE = "kornia"
"""The contestant that the others are compared with."""


def contestants(device: str) -> dict[str, Contestant]:
    """Those that run on a type of device, by name."""
    every = [contestant for module in _MODULES for contestant in module.CONTESTANTS]
    return {c.name: c for c in every if device in c.devices}
