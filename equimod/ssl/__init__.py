"""Invariance methods, one a file; `MethodConfig` is the choice among them, by `name`."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from equimod.ssl.barlow_twins import BarlowTwins, BarlowTwinsConfig
from equimod.ssl.base import Method
from equimod.ssl.byol import BYOL, BYOLConfig
from equimod.ssl.dino import DINO, DINOConfig
from equimod.ssl.moco_v3 import MoCoV3, MoCoV3Config
from equimod.ssl.simclr import SimCLR, SimCLRConfig
from equimod.ssl.simsiam import SimSiam, SimSiamConfig
from equimod.ssl.vicreg import VICReg, VICRegConfig

MethodConfig = Annotated[
    SimCLRConfig
    | BYOLConfig
    | BarlowTwinsConfig
    | VICRegConfig
    | SimSiamConfig
    | MoCoV3Config
    | DINOConfig,
    Field(discriminator="name"),
]

_CONFIGS = {c.model_fields["name"].default: c for c in get_args(get_args(MethodConfig)[0])}

TAKES_CROPS = tuple(name for name, config in _CONFIGS.items() if config.takes_crops)
"""The names of the methods that take local crops beside their two views."""
WITHOUT_TARGET = tuple(name for name, config in _CONFIGS.items() if not config.has_target)
"""The names of the methods without a target network."""

__all__ = [
    "BYOL",
    "DINO",
    "TAKES_CROPS",
    "WITHOUT_TARGET",
    "BYOLConfig",
    "BarlowTwins",
    "BarlowTwinsConfig",
    "DINOConfig",
    "Method",
    "MethodConfig",
    "MoCoV3",
    "MoCoV3Config",
    "SimCLR",
    "SimCLRConfig",
    "SimSiam",
    "SimSiamConfig",
    "VICReg",
    "VICRegConfig",
]
