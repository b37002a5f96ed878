"""Invariance methods, one a file; `MethodConfig` is the choice among them, by `name`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from equimod.ssl.base import Method
from equimod.ssl.byol import BYOL, BYOLConfig
from equimod.ssl.simclr import SimCLR, SimCLRConfig

MethodConfig = Annotated[SimCLRConfig | BYOLConfig, Field(discriminator="name")]

__all__ = ["BYOL", "BYOLConfig", "Method", "MethodConfig", "SimCLR", "SimCLRConfig"]
