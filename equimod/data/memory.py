"""Data sets whose decoded images fit in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from equimod.data.base import CHANNELS, CorruptImageError, DataError, ImageData, Split

DEFAULT_LIMIT = 2 * 2**30
"""Decoded bytes (2 GiB) up to which a data set is held in memory unless its configuration says
otherwise."""
CHUNK = 64  # images a thread decodes at a time: enough to hide the cost of handing work over


class InMemoryImages(ImageData):
    """Images of one size, held decoded as one tensor.

    Attributes:
        images: `(N, 3, H, W)` uint8.
        corrupt: what is wrong with each image that could not be decoded, by index; its row in
            `images` is zero and `load` raises.
    """

    def __init__(
        self,
        images: Tensor,
        *,
        title: str,
        split: Split,
        labels: Tensor,
        classes: Mapping[str, tuple[str, ...]],
        fingerprint: str,
        corrupt: Mapping[int, CorruptImageError] | None = None,
    ) -> None:
        super().__init__(
            title=title,
            split=split,
            image_size=(images.shape[-2], images.shape[-1]),
            labels=labels,
            classes=classes,
            fingerprint=fingerprint,
        )
        if images.shape[:2] != (len(self), CHANNELS) or images.dtype != torch.uint8:
            shape = f"{images.dtype} {tuple(images.shape)}"
            raise ValueError(f"images must be uint8 ({len(self)}, 3, H, W), got {shape}")
        self.images = images
        self.corrupt = dict(corrupt or {})

    def load(self, index: int) -> Tensor:
        """Returns image `index` as uint8 `(3, H, W)`, or raises its `CorruptImageError`."""
        if index in self.corrupt:
            raise self.corrupt[index]
        return self.images[index]


class InMemoryRagged(ImageData):
    """Images in sizes of their own, held decoded.

    Attributes:
        images: each uint8 `(3, H, W)`, or what is wrong with the one that could not be decoded.
    """

    def __init__(self, data: ImageData, images: Sequence[Tensor | CorruptImageError]) -> None:
        super().__init__(
            title=data.title,
            split=data.split,
            image_size=None,
            labels=data.labels,
            classes=data.classes,
            fingerprint=data.fingerprint,
        )
        self.images = tuple(images)

    def load(self, index: int) -> Tensor:
        """Returns image `index` as uint8 `(3, H, W)`, or raises its `CorruptImageError`."""
        image = self.images[index]
        if isinstance(image, CorruptImageError):
            raise image
        return image


def usable_processors() -> int:
    """How many processors this process may use, which a cluster's job often restricts."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def into_memory(data: ImageData) -> InMemoryImages:
    """Decodes a whole data set of one size once.

    Corrupt images are kept aside in `corrupt`: what to do about them is the loader's choice.

    Args:
        data: a data set whose images have one size.

    Returns:
        The same data set, held in memory.

    Raises:
        DataError: not one image could be decoded; the message shows the first reason.
    """
    assert data.image_size is not None
    images = torch.zeros((len(data), CHANNELS, *data.image_size), dtype=torch.uint8)

    def keep(index: int, image: Tensor) -> None:
        images[index] = image

    corrupt = _decode_all(data, keep)
    return InMemoryImages(
        images,
        title=data.title,
        split=data.split,
        labels=data.labels,
        classes=data.classes,
        fingerprint=data.fingerprint,
        corrupt=corrupt,
    )


def into_memory_ragged(data: ImageData) -> InMemoryRagged:
    """Decodes a whole data set once, each image in its own size; see `into_memory`.

    Raises:
        DataError: not one image could be decoded; the message shows the first reason.
    """
    images: dict[int, Tensor] = {}
    corrupt = _decode_all(data, images.__setitem__)
    return InMemoryRagged(data, [corrupt.get(i) or images[i] for i in range(len(data))])


def _decode_all(
    data: ImageData, keep: Callable[[int, Tensor], None]
) -> dict[int, CorruptImageError]:
    """Decodes every image, in threads (Pillow decodes outside the interpreter's lock).

    Args:
        data: a data set.
        keep: takes each image, with its index.

    Returns:
        What is wrong with the images that could not be decoded.

    Raises:
        DataError: that is all of them.
    """

    def decode(indices: range) -> dict[int, CorruptImageError]:
        corrupt = {}
        for index in indices:
            try:
                keep(index, data.load(index))
            except CorruptImageError as error:
                corrupt[index] = error
        return corrupt

    chunks = [range(start, min(start + CHUNK, len(data))) for start in range(0, len(data), CHUNK)]
    corrupt: dict[int, CorruptImageError] = {}
    with ThreadPoolExecutor(usable_processors()) as pool:
        for found in pool.map(decode, chunks):
            corrupt |= found
    if len(corrupt) == len(data):
        raise DataError(f"{data.title}: no image could be decoded; {next(iter(corrupt.values()))}")
    return corrupt


def into_memory_if_small(data: ImageData, limit: int) -> ImageData:
    """The data set held in memory if its decoded images take no more than `limit` bytes.

    Where images have sizes of their own, their headers are read until the limit is passed.

    Raises:
        DataError: see `into_memory`.
    """
    total = 0
    for index in range(len(data)):
        total += CHANNELS * _pixels(data, index)
        if total > limit:
            return data
    return into_memory(data) if data.image_size is not None else into_memory_ragged(data)


def _pixels(data: ImageData, index: int) -> int:
    try:
        height, width = data.size(index)
    except CorruptImageError:
        return 0
    return height * width
