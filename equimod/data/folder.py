"""Images in ordinary folders: one folder a class, or no classes at all."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from augspec import DocumentModel
from equimod.data.base import UNKNOWN, ImageData, Split, fingerprint, resolve
from equimod.data.decode import decode
from equimod.data.listing import Listing, list_split
from equimod.data.memory import DEFAULT_LIMIT, into_memory_if_small


class FolderConfig(DocumentModel):
    """Images in folders, in any of three layouts.

    `path/train/<class>/...` and `path/test/<class>/...` (or `val`, `validation`);
    `path/<class>/...`, of which a fraction is held out as the test split; or images directly in
    `path` (or in `train` and `test`), without classes.
    """

    source: Literal["folder"] = "folder"
    path: Path
    """The folder; relative to the current folder."""
    size: int = Field(default=224, ge=1)
    """Each image's shorter side is resized to this many pixels and its central square is cropped,
    before augmentation."""
    held_out: float = Field(default=0.1, gt=0, lt=1)
    """The fraction of images that is the test split where the folder has none: each file's name
    decides, so that adding files moves no other file to the other split."""
    memory_limit: int = Field(default=DEFAULT_LIMIT, ge=0)
    """Bytes of decoded images up to which the set is decoded once and held in memory."""

    def build(self, split: Split, base_dir: Path) -> ImageData:
        """Lists one split and, if it is small enough, decodes it.

        Args:
            split: `"train"` or `"test"`.
            base_dir: what a relative `path` is relative to.

        Raises:
            DataError: no such folder, no images in it, or a layout that is none of the three.
        """
        root = resolve(self.path, base_dir)
        data = FolderImages(root, list_split(root, split, self.held_out), split, self.size)
        return into_memory_if_small(data, self.memory_limit)


class FolderImages(ImageData):
    """Images decoded from files on demand; `load` may be called from several threads.

    Attributes:
        files: the files by id, sorted by class and name.
    """

    def __init__(self, root: Path, listing: Listing, split: Split, size: int) -> None:
        labels = [UNKNOWN if label is None else label for label in listing.labels]
        self.files = listing.files
        super().__init__(
            title=f"folder {root.name}",
            split=split,
            image_size=(size, size),
            labels=torch.tensor(labels, dtype=torch.int64)[:, None],
            classes={"class": listing.classes},
            fingerprint=fingerprint(
                ["folder", split, size, listing.classes, labels],
                [[path.relative_to(root).as_posix(), path.stat().st_size] for path in self.files],
            ),
        )
        self._size = size

    def load(self, index: int) -> Tensor:
        """Returns image `index` as uint8 `(3, size, size)`, or raises `CorruptImageError`."""
        path = self.files[index]
        return decode(path, place=str(path), size=self._size)
