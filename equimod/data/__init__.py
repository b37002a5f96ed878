"""Data sets (rendered, CIFAR, STL-10, image folders, parquet files) and batches of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from equimod.data.base import CorruptImageError, DataError, ImageData, Known, Split
from equimod.data.folder import FolderConfig
from equimod.data.held_out import hold_out
from equimod.data.loader import Batch, CorruptReport, batches, number_of_batches
from equimod.data.memory import InMemoryImages, InMemoryRagged
from equimod.data.one_size import require_one_size
from equimod.data.parquet import ParquetConfig
from equimod.data.shapes import ShapesConfig
from equimod.data.torchvision_sets import CIFAR10Config, CIFAR100Config, STL10Config

DataConfig = Annotated[
    ShapesConfig | CIFAR10Config | CIFAR100Config | STL10Config | FolderConfig | ParquetConfig,
    Field(discriminator="source"),
]
"""Any data set's configuration: `config.build(split, base_dir)` returns an `ImageData`."""

__all__ = [
    "Batch",
    "CIFAR10Config",
    "CIFAR100Config",
    "CorruptImageError",
    "CorruptReport",
    "DataConfig",
    "DataError",
    "FolderConfig",
    "ImageData",
    "InMemoryImages",
    "InMemoryRagged",
    "Known",
    "ParquetConfig",
    "STL10Config",
    "ShapesConfig",
    "Split",
    "batches",
    "hold_out",
    "number_of_batches",
    "require_one_size",
]
