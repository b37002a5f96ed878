"""Training images held out of the training, to choose settings by instead of the test split."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import torch
from torch import Tensor

from equimod.data.base import DataError, ImageData, Split
from equimod.data.draws import HELD_OUT, words
from equimod.data.memory import InMemoryImages


def hold_out(data: ImageData, count: int) -> tuple[ImageData, ImageData]:
    """Parts a training split in two: what is trained on, and what is measured on.

    Which images are held out is a function of their number and of how many the split has, not of
    any seed, so that all seeds and arms are measured on the same ones.

    Args:
        data: the training split, of N images.
        count: how many to hold out.

    Returns:
        The N - `count` images of the training, with new ids from 0, and the others as a test split;
        both in their order.

    Raises:
        DataError: there are no more than `count` images.
    """
    if not 0 < count < len(data):
        raise DataError(
            f"held_out: cannot hold {count:,} images out of {data.describe()}; allowed are 1 to "
            f"{len(data) - 1:,}"
        )
    raw = words(len(data), seed=0, stream=0, purpose=HELD_OUT)
    chosen = np.sort(np.argsort(raw, kind="stable")[:count])
    rest = np.setdiff1d(np.arange(len(data)), chosen)
    return _part(data, rest, "train"), _part(data, chosen, "test")


def _part(data: ImageData, indices: np.ndarray, split: Split) -> ImageData:
    """Some images as a data set of their own; those of a set in memory stay in memory."""
    kept = torch.from_numpy(indices)
    if not isinstance(data, InMemoryImages):
        return _Part(data, kept, split)
    places = {index: place for place, index in enumerate(indices.tolist())}
    return InMemoryImages(
        data.images[kept],
        title=data.title,
        split=split,
        labels=data.labels[kept],
        classes=data.classes,
        fingerprint=_fingerprint(data, indices),
        corrupt={places[i]: error for i, error in data.corrupt.items() if i in places},
    )


def _fingerprint(data: ImageData, indices: np.ndarray) -> str:
    document = json.dumps([data.fingerprint, indices.tolist()])
    return hashlib.sha256(document.encode()).hexdigest()


class _Part(ImageData):
    """Some images of another data set, which reads them.

    Args:
        data: the other.
        indices: which, `(N,)` int64, in order.
        split: what the part is.
    """

    def __init__(self, data: ImageData, indices: Tensor, split: Split) -> None:
        super().__init__(
            title=data.title,
            split=split,
            image_size=data.image_size,
            labels=data.labels[indices],
            classes=data.classes,
            fingerprint=_fingerprint(data, indices.numpy()),
        )
        self._data = data
        self._indices = indices.tolist()

    def load(self, index: int) -> Tensor:
        """See `ImageData.load`."""
        return self._data.load(self._indices[index])

    def size(self, index: int) -> tuple[int, int]:
        """See `ImageData.size`."""
        return self._data.size(self._indices[index])
