"""What a data set is: images behind integer ids, with labels of several kinds.

Images are `uint8 (3, H, W)` RGB and leave the data set un-augmented: every random change is made
later, in batches, by an `augspec` pipeline. The id of a sample is its index, so the draws of a
pipeline are a function of the data set's order.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

Split = Literal["train", "test"]
CHANNELS = 3
"""Every image is RGB."""
UNKNOWN = -1
"""The label of a sample whose class is not known."""


class DataError(ValueError):
    """A user's mistake about data: one message that says what is wrong, where, and what to do."""


class CorruptImageError(DataError):
    """One image that cannot be decoded.

    Attributes:
        place: the file, or the file and row.
        reason: why, in words.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"cannot decode the image {place}: {reason}")
        self.place = place
        self.reason = reason


class Known(NamedTuple):
    """What a configuration tells of its train split before anything is read."""

    images: int | None
    """How many there are; None where only the files can tell."""
    size: tuple[int, int] | Literal["original"] | None
    """`(H, W)` in pixels of every image; `original` where each has a size of its own, None where
    all have one that only the files can tell."""


class ImageData(ABC):
    """A finite, ordered set of images, of one size or each of its own.

    Attributes:
        title: what it is called on the console, such as `"CIFAR-10"`.
        split: `"train"` or `"test"`.
        image_size: `(H, W)` in pixels of every image; None where each has a size of its own.
        labels: `(N, L)` int64, one column a label kind; -1 where the class is not known.
        classes: the class names of each label kind, in the order of the columns of `labels`; no
            names where there are no classes.
        fingerprint: hexadecimal hash of what the data is; equal data sets have equal fingerprints.
    """

    def __init__(
        self,
        *,
        title: str,
        split: Split,
        image_size: tuple[int, int] | None,
        labels: Tensor,
        classes: Mapping[str, tuple[str, ...]],
        fingerprint: str,
    ) -> None:
        if labels.ndim != 2 or labels.shape[1] != len(classes) or labels.dtype != torch.int64:
            shape = f"{labels.dtype} {tuple(labels.shape)}"
            raise ValueError(f"labels must be int64 (N, {len(classes)}), got {shape}")
        if not len(labels):
            raise DataError(f"{title}: the {split} split holds no images")
        self.title = title
        self.split: Split = split
        self.image_size = image_size
        self.labels = labels
        self.classes = dict(classes)
        self.fingerprint = fingerprint

    @abstractmethod
    def load(self, index: int) -> Tensor:
        """Returns image `index` as uint8 `(3, H, W)`.

        Raises:
            CorruptImageError: its bytes cannot be decoded.
        """

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index` in pixels, without decoding it where that can be.

        Raises:
            CorruptImageError: its bytes are no image.
        """
        height, width = self.image_size or self.load(index).shape[1:]
        return height, width

    def __len__(self) -> int:
        return self.labels.shape[0]

    @property
    def label_names(self) -> tuple[str, ...]:
        """The label kinds, in the order of the columns of `labels`."""
        return tuple(self.classes)

    @property
    def ids(self) -> Tensor:
        """The samples' ids: `(N,)` int64, 0 ... N - 1."""
        return torch.arange(len(self))

    @cached_property
    def sizes(self) -> Tensor:
        """Height and width of each image as `load` returns it: `(N, 2)` int64, in pixels.

        Zero where that cannot be read. Images of sizes of their own are asked for them on the first
        use, which reads every file's header.
        """
        if self.image_size is not None:
            return torch.tensor(self.image_size).expand(len(self), 2)
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(self._size_or_zero, range(len(self))))
        return torch.tensor(found, dtype=torch.int64)

    def _size_or_zero(self, index: int) -> tuple[int, int]:
        try:
            return self.size(index)
        except CorruptImageError:
            return 0, 0

    def describe(self) -> str:
        """One line for the console: `CIFAR-10, 50,000 train images 32x32, 10 classes`."""
        size = "of different sizes"
        if self.image_size is not None:
            size = "x".join(map(str, self.image_size))
        kinds = [
            f"{len(names)} {'classes' if kind == 'class' else f'{kind} classes'}"
            for kind, names in self.classes.items()
            if names
        ]
        return (
            f"{self.title}, {len(self):,} {self.split} images {size}, "
            f"{' and '.join(kinds) or 'no labels'}"
        )


def fingerprint(*parts: Any) -> str:
    """Hashes what a data set is.

    Args:
        parts: numpy arrays (their type, shape and bytes count) and plain JSON data.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def resolve(path: Path, base_dir: Path) -> Path:
    """Makes a path absolute: `~` is the home folder, a relative path starts at `base_dir`."""
    return (base_dir / path.expanduser()).absolute()
