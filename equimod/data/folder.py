"""Images in ordinary folders: one folder a class, or no classes at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from augspec import DocumentModel, fault
from equimod.data.base import UNKNOWN, ImageData, Known, Split, fingerprint, resolve
from equimod.data.decode import decode, header_size
from equimod.data.listing import Listing, list_split
from equimod.data.memory import DEFAULT_LIMIT, into_memory_if_small

PUBLISHED = {"imagenet": 1_281_167, "imagenet100": 126_689}
"""Train images of sets that are known by the name of their folder: ILSVRC-2012 (Russakovsky et al.,
arXiv 1409.0575, table 2), and those of its 100 classes that CMC chose (arXiv 1906.05849)."""


class FolderConfig(DocumentModel):
    """Images in folders, in any of three layouts.

    `path/train/<class>/...` and `path/test/<class>/...` (or `val`, `validation`);
    `path/<class>/...`, of which a fraction is held out as the test split; or images directly in
    `path` (or in `train` and `test`), without classes.
    """

    source: Literal["folder"] = "folder"
    path: Path
    """The folder; relative to the current folder."""
    size: Annotated[int, Field(ge=1)] | Literal["original"] = 224
    """Each image's shorter side is resized to this many pixels and its central square is cropped,
    before augmentation. `original` leaves each image in its own size, so that boxes are cut out of
    the pixels of the file, as published ImageNet recipes do."""
    max_side: int | None = Field(default=None, ge=1)
    """With `size: original`: images whose longer side has more pixels are shrunk to this many, in
    proportion. Quicker for very large photographs, whose own pixels the views then do not see."""
    held_out: float = Field(default=0.1, gt=0, lt=1)
    """The fraction of images that is the test split where the folder has none: each file's name
    decides, so that adding files moves no other file to the other split."""
    memory_limit: int = Field(default=DEFAULT_LIMIT, ge=0)
    """Bytes of decoded images up to which the set is decoded once and held in memory."""

    @model_validator(mode="after")
    def _bound_fits(self) -> FolderConfig:
        if self.max_side is not None and self.size != "original":
            raise fault(f"needs `size: original`, got size {self.size}", "max_side")
        return self

    def known(self) -> Known:
        """See `Known`; of the number, only a guess by the folder's name."""
        size = self.size if self.size == "original" else (self.size, self.size)
        return Known(PUBLISHED.get(self.path.name.lower()), size)

    def build(self, split: Split, base_dir: Path) -> ImageData:
        """Lists one split and, if it is small enough, decodes it.

        Args:
            split: `"train"` or `"test"`.
            base_dir: what a relative `path` is relative to.

        Raises:
            DataError: no such folder, no images in it, or a layout that is none of the three.
        """
        root = resolve(self.path, base_dir)
        listing = list_split(root, split, self.held_out)
        size = None if self.size == "original" else self.size
        data = FolderImages(root, listing, split, size, self.max_side)
        return into_memory_if_small(data, self.memory_limit)


class FolderImages(ImageData):
    """Images decoded from files on demand; `load` may be called from several threads.

    Args:
        root: the folder.
        listing: the files of the split.
        split: `"train"` or `"test"`.
        size: side of the squares that images become; None leaves each in its own size.
        max_side: the most pixels of a longer side.

    Attributes:
        files: the files by id, sorted by class and name.
    """

    def __init__(
        self,
        root: Path,
        listing: Listing,
        split: Split,
        size: int | None,
        max_side: int | None = None,
    ) -> None:
        shape = size if size is not None else ["original", max_side]
        labels = [UNKNOWN if label is None else label for label in listing.labels]
        self.files = listing.files
        super().__init__(
            title=f"folder {root.name}",
            split=split,
            image_size=None if size is None else (size, size),
            labels=torch.tensor(labels, dtype=torch.int64)[:, None],
            classes={"class": listing.classes},
            fingerprint=fingerprint(
                ["folder", split, shape, listing.classes, labels],
                [[path.relative_to(root).as_posix(), path.stat().st_size] for path in self.files],
            ),
        )
        self._size, self._max_side = size, max_side

    def load(self, index: int) -> Tensor:
        """Returns image `index` as uint8 `(3, H, W)`, or raises `CorruptImageError`."""
        path = self.files[index]
        return decode(path, place=str(path), size=self._size, max_side=self._max_side)

    def size(self, index: int) -> tuple[int, int]:
        """See `ImageData.size`; of images of sizes of their own, only the header is read."""
        if self.image_size is not None:
            return self.image_size
        path = self.files[index]
        return header_size(path, place=str(path), max_side=self._max_side)
