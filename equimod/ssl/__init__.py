"""Invariance methods, one a file; `MethodConfig` is the choice among them, by `name`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from equimod.ssl.barlow_twins import BarlowTwins, BarlowTwinsConfig
from equimod.ssl.base import Method
from equimod.ssl.byol import BYOL, BYOLConfig
from equimod.ssl.simclr import SimCLR, SimCLRConfig
from equimod.ssl.simsiam import SimSiam, SimSiamConfig
from equimod.ssl.vicreg import VICReg, VICRegConfig

MethodConfig = Annotated[
    SimCLRConfig | BYOLConfig | BarlowTwinsConfig | VICRegConfig | SimSiamConfig,
    Field(discriminator="name"),
]

__all__ = [
    "BYOL",
    "BYOLConfig",
    "BarlowTwins",
    "BarlowTwinsConfig",
    "Method",
    "MethodConfig",
    "SimCLR",
    "SimCLRConfig",
    "SimSiam",
    "SimSiamConfig",
    "VICReg",
    "VICRegConfig",
]
