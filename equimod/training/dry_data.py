"""Random images in the place of a data set that is not at hand."""

from __future__ import annotations

import torch

from augspec import Spec
from equimod.data import ImageData, InMemoryImages, InMemoryRagged, Known
from equimod.data.base import CHANNELS
from equimod.training.require import require_images

USUAL_SIZES = ((375, 500), (500, 375), (333, 500), (500, 500))
"""Height and width of random images where each has a size of its own: usual ones of ImageNet."""
UNKNOWN_SIZE = (224, 224)
"""The same where all have one size that only the files can tell, and no spec does."""


def random_images(spec: Spec, known: Known, count: int) -> ImageData:
    """Images of the sizes that the data have, or may have; the same ones every time.

    Args:
        spec: the augmentations.
        known: of the data.
        count: how many.

    Raises:
        DataError: the augmentations are for images of another size or another number of channels.
    """
    size = known.size or spec.input_size or UNKNOWN_SIZE
    require_images(spec, None if size == "original" else size)
    several = size == "original"
    random = torch.Generator().manual_seed(0)
    sizes = [USUAL_SIZES[k % len(USUAL_SIZES)] if several else size for k in range(count)]
    images = [
        torch.randint(256, (CHANNELS, *one), dtype=torch.uint8, generator=random)
        for one in sizes
        if one != "original"
    ]
    one_size = InMemoryImages(
        torch.stack(images) if not several else torch.zeros(count, CHANNELS, 1, 1).byte(),
        title="random images",
        split="train",
        labels=torch.zeros(count, 0, dtype=torch.int64),
        classes={},
        fingerprint="",
    )
    return InMemoryRagged(one_size, images) if several else one_size
