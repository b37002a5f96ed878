"""Neighbours of EquiMod: methods that it is compared with, one a file; the choice is by `name`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from equimod.baselines.augself import AugSelf, AugSelfConfig
from equimod.baselines.base import Neighbour, NeighbourOptions, Pair
from equimod.baselines.care import CARE, CAREConfig
from equimod.baselines.cassle import Cassle, CassleConfig
from equimod.baselines.essl import ESSL, ESSLConfig
from equimod.baselines.inputs import OF_ONE_SIZE, Given, given, shares, vectors
from equimod.baselines.sen import SEN, SENConfig
from equimod.baselines.seq_jepa import SeqJEPA, SeqJEPAConfig
from equimod.baselines.sie import SIE, SIEConfig
from equimod.baselines.stl import STL, STLConfig

NeighbourConfig = Annotated[
    AugSelfConfig
    | CassleConfig
    | ESSLConfig
    | CAREConfig
    | SIEConfig
    | SENConfig
    | STLConfig
    | SeqJEPAConfig,
    Field(discriminator="name"),
]

__all__ = [
    "CARE",
    "ESSL",
    "OF_ONE_SIZE",
    "SEN",
    "SIE",
    "STL",
    "AugSelf",
    "AugSelfConfig",
    "CAREConfig",
    "Cassle",
    "CassleConfig",
    "ESSLConfig",
    "Given",
    "Neighbour",
    "NeighbourConfig",
    "NeighbourOptions",
    "Pair",
    "SENConfig",
    "SIEConfig",
    "STLConfig",
    "SeqJEPA",
    "SeqJEPAConfig",
    "given",
    "shares",
    "vectors",
]
