"""The built-in data set: rendered pictures of eight shapes in eight colours, drawn independently.

It needs no download and takes about a second. What it is for: a method that learns to be invariant
to colour jitter loses the colour label and keeps the shape label, so both can be watched on a
machine without a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from augspec import DocumentModel
from equimod.data.base import Known, Split, fingerprint
from equimod.data.distances import F32, OUTLINES
from equimod.data.draws import SHAPES_IMAGE, SHAPES_LABEL, U64, uniforms, words
from equimod.data.memory import InMemoryImages
from equimod.data.rendering import I64, PALETTE, U8, UNIFORMS, render

_STREAMS = {"train": 0, "test": 1}
_PAIRS = len(OUTLINES) * len(PALETTE)
_CHUNK_VALUES = 2**18  # values drawn at once, so that the intermediate arrays stay in the cache


class ShapesConfig(DocumentModel):
    """Rendered pictures of eight shapes in eight colours; built in, the same on every machine."""

    source: Literal["shapes"] = "shapes"
    train: int = Field(default=4096, ge=1)
    """Number of images in the train split."""
    test: int = Field(default=1024, ge=1)
    """Number of images in the test split."""
    size: int = Field(default=32, ge=8, le=512)
    """Side of the square images, in pixels."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Another seed gives other pictures of the same kind."""

    def known(self) -> Known:
        """See `Known`."""
        return Known(self.train, (self.size, self.size))

    def build(self, split: Split, base_dir: Path) -> InMemoryImages:
        """Renders one split.

        Image i is a function of (seed, split, i, size) alone: a larger set begins with the images
        of a smaller one. Shape and colour are balanced and independent: every 64 images, counted
        from the first, hold each pair once.

        Args:
            split: `"train"` or `"test"`.
            base_dir: not used; nothing is read.
        """
        count = self.train if split == "train" else self.test
        pairs = draw_pairs(count, self.seed, split)
        images = draw_images(pairs, self.seed, split, self.size)
        labels = np.stack([pairs // len(PALETTE), pairs % len(PALETTE)], axis=1)
        return InMemoryImages(
            torch.from_numpy(images),
            title="shapes (rendered)",
            split=split,
            labels=torch.from_numpy(labels),
            classes={"shape": tuple(OUTLINES), "colour": tuple(PALETTE)},
            fingerprint=fingerprint(images, labels),
        )


def draw_pairs(count: int, seed: int, split: Split) -> I64:
    """The pair of each image, `(count,)` in [0, 64): each block of 64 is a permutation."""
    blocks = [
        words(_PAIRS, seed=seed, stream=_STREAMS[split], purpose=SHAPES_LABEL, index=block)
        for block in range(-(-count // _PAIRS))
    ]
    return np.concatenate([np.argsort(block, kind="stable") for block in blocks])[:count]


def draw_images(pairs: I64, seed: int, split: Split, size: int) -> U8:
    """Renders the images of `pairs`: uint8 `(N, 3, size, size)`."""
    values = 3 * size * size
    images = np.empty((len(pairs), 3, size, size), np.uint8)
    chunk = max(1, _CHUNK_VALUES // values)
    for start in range(0, len(pairs), chunk):
        rows = slice(start, min(start + chunk, len(pairs)))
        raw = np.stack(
            [
                words(
                    UNIFORMS + -(-values // 8),
                    seed=seed,
                    stream=_STREAMS[split],
                    purpose=SHAPES_IMAGE,
                    index=index,
                )
                for index in range(rows.start, rows.stop)
            ]
        )
        images[rows] = render(
            pairs[rows] // len(PALETTE),
            pairs[rows] % len(PALETTE),
            uniforms(raw[:, :UNIFORMS]),
            _grain(raw[:, UNIFORMS:], values).reshape(-1, 3, size, size),
            size,
        )
    return images


def _grain(raw: U64, values: int) -> F32:
    """One byte of the words for each value, as float32 in [-1, 1]."""
    # little-endian on every machine, so that the bytes come in the same order
    noise = np.ascontiguousarray(raw.astype("<u8")).view(np.uint8)[:, :values]
    return noise.astype(np.float32) * np.float32(2 / 255) - 1
