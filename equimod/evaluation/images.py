"""Batches of images of one size, or each of its own, handled alike."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

from augspec import Ragged

Images: TypeAlias = Tensor | Ragged
"""`(B, C, H, W)` uint8, or a ragged batch of B."""


def rows_of(images: Images, rows: Tensor | slice) -> Images:
    """Some of the images.

    Args:
        images: the batch.
        rows: a slice, or `(B,)` bool; at least one image must be chosen of a ragged batch.
    """
    if isinstance(images, Tensor):
        return images[rows]
    chosen = torch.arange(len(images))[rows if isinstance(rows, slice) else rows.cpu()].tolist()
    if len(chosen) == len(images):
        return images
    single = images.images()
    return Ragged.stack([single[index] for index in chosen])
