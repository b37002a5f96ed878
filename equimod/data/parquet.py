"""Images in parquet files, in the layout of Hugging Face `datasets`.

One column holds encoded images, others integer labels; class names come from the files' metadata.
Sets whose decoded images fit in `memory_limit` are decoded once. Larger ones are read a row group
at a time, and a row group is the least that a parquet file gives: for shuffled training on a large
set an image folder is quicker.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import Tensor

from augspec import DocumentModel, fault
from equimod.data.base import (
    CorruptImageError,
    DataError,
    ImageData,
    Known,
    Split,
    fingerprint,
    resolve,
)
from equimod.data.decode import decode, header_size
from equimod.data.memory import DEFAULT_LIMIT, into_memory_if_small
from equimod.data.parquet_files import (
    RowGroup,
    image_column,
    label_columns,
    read_bytes,
    read_labels,
    read_schema,
    row_groups,
)

_CACHED_GROUPS = 8
_PROBED_ROWS = 16


class ParquetConfig(DocumentModel):
    """Images in parquet files, as Hugging Face data sets are stored."""

    source: Literal["parquet"] = "parquet"
    path: Path
    """The folder of the files; relative to the current folder."""
    train: str = "**/train-*.parquet"
    """The files of the train split, inside `path`: a name, or a pattern with `*` and `**/`."""
    test: str = "**/test-*.parquet"
    """The files of the test split. Where a set's test labels are withheld, name its validation
    files."""
    image_column: str | None = None
    """The column of encoded images: binary, or a struct with a binary field `bytes`. Default:
    `image` or `img`."""
    label_columns: tuple[str, ...] | None = None
    """The integer columns of labels. Default: whichever of `label`, `labels`, `fine_label`,
    `coarse_label` there are."""
    size: Annotated[int, Field(ge=1)] | Literal["original"] | None = None
    """Resize the shorter side to this many pixels and crop the centre; without it all images must
    be of one size. `original` leaves each image in its own size, so that boxes are cut out of the
    pixels of the file, as published ImageNet recipes do."""
    max_side: int | None = Field(default=None, ge=1)
    """With `size: original`: images whose longer side has more pixels are shrunk to this many, in
    proportion. Quicker for very large photographs, whose own pixels the views then do not see."""
    memory_limit: int = Field(default=DEFAULT_LIMIT, ge=0)
    """Bytes of decoded images up to which the set is decoded once and held in memory."""

    @model_validator(mode="after")
    def _bound_fits(self) -> ParquetConfig:
        if self.max_side is not None and self.size != "original":
            size = "none" if self.size is None else f"size {self.size}"
            raise fault(f"needs `size: original`, got {size}", "max_side")
        return self

    def known(self) -> Known:
        """See `Known`."""
        return Known(None, (self.size, self.size) if isinstance(self.size, int) else self.size)

    def build(self, split: Split, base_dir: Path) -> ImageData:
        """Reads one split.

        Args:
            split: `"train"` or `"test"`.
            base_dir: what a relative `path` is relative to.

        Raises:
            DataError: no such folder, files or columns; labels out of range; images of several
                sizes without `size`.
        """
        folder = resolve(self.path, base_dir)
        data = ParquetImages(self, folder, find_files(folder, self.pattern(split)), split)
        return into_memory_if_small(data, self.memory_limit)

    def pattern(self, split: Split) -> str:
        """The file pattern of a split."""
        return self.train if split == "train" else self.test


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Lists the parquet files of a split, sorted by name.

    Raises:
        DataError: the folder does not exist, or no file matches; the message lists what is there.
    """
    if not folder.is_dir():
        what = "is a file: give its folder, and the file as `train` or `test`"
        raise DataError(f"{folder} {what if folder.exists() else 'does not exist'}")
    try:
        files = sorted(path for path in folder.glob(pattern) if path.is_file())
    except (NotImplementedError, ValueError) as error:
        raise DataError(f"'{pattern}' is not a pattern of files inside {folder}") from error
    if not files:
        there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))
        listing = ", ".join(there[:6]) + (f" and {len(there) - 6} more" if len(there) > 6 else "")
        raise DataError(
            f"no file in {folder} matches '{pattern}'"
            + (f"; its parquet files are {listing}" if there else "; it holds no parquet files")
        )
    return files


class ParquetImages(ImageData):
    """Images decoded from parquet files on demand; `load` may be called from several threads."""

    def __init__(
        self, config: ParquetConfig, folder: Path, files: list[Path], split: Split
    ) -> None:
        first = read_schema(files[0])
        self._column = image_column(files[0], first, config.image_column)
        names = label_columns(files[0], first, config.label_columns)
        for path in files[1:]:  # every file must have the columns of the first
            image_column(path, read_schema(path), self._column.removesuffix(".bytes"))
            label_columns(path, read_schema(path), names)
        self._groups = row_groups(files)
        self._cache: OrderedDict[RowGroup, list[bytes | None]] = OrderedDict()
        self._lock = threading.Lock()
        ragged = config.size == "original"
        self._size = None if config.size == "original" else config.size
        self._max_side = config.max_side
        shape = ["original", config.max_side] if ragged else config.size
        classes, labels = read_labels(files, names, first)
        super().__init__(
            title=f"{folder.name} parquet",
            split=split,
            image_size=None if ragged else self._one_size(len(labels)),
            labels=labels,
            classes=classes,
            fingerprint=fingerprint(
                ["parquet", split, shape, self._column, names],
                [[path.name, path.stat().st_size] for path in files],
                labels.numpy(),
            ),
        )

    def load(self, index: int) -> Tensor:
        """Returns image `index` as uint8 `(3, H, W)`.

        Raises:
            CorruptImageError: its row holds no bytes or none that can be decoded.
            DataError: it has a size of its own, and the configuration names none.
        """
        image = self._decode(index)
        if self.image_size is not None and tuple(image.shape[1:]) != self.image_size:
            own, others = ("x".join(map(str, s)) for s in (image.shape[1:], self.image_size))
            raise DataError(
                f"the images are of several sizes ({self._place(index)} is {own}, others are "
                f"{others}); set `size` to resize and crop them all to one, or to `original` "
                "to keep each in its own"
            )
        return image

    def size(self, index: int) -> tuple[int, int]:
        """See `ImageData.size`; of images of sizes of their own, only the header is decoded."""
        if self.image_size is not None:
            return self.image_size
        place = self._place(index)
        return header_size(self._encoded(index), place=place, max_side=self._max_side)

    def _decode(self, index: int) -> Tensor:
        encoded, place = self._encoded(index), self._place(index)
        return decode(encoded, place=place, size=self._size, max_side=self._max_side)

    def _encoded(self, index: int) -> bytes:
        group = self._group(index)
        encoded = self._rows(group)[index - group.start]
        if encoded is None:
            raise CorruptImageError(self._place(index), "its row holds no bytes")
        return encoded

    def _group(self, index: int) -> RowGroup:
        return self._groups[bisect_right(self._groups, index, key=lambda group: group.start) - 1]

    def _place(self, index: int) -> str:
        group = self._group(index)
        return f"{group.path}, row {index - group.start + group.offset}"

    def _rows(self, group: RowGroup) -> list[bytes | None]:
        with self._lock:
            if group not in self._cache:
                self._cache[group] = read_bytes(group, self._column)
                if len(self._cache) > _CACHED_GROUPS:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(group)
            return self._cache[group]

    def _one_size(self, count: int) -> tuple[int, int]:
        """The size that all images have, or are to have."""
        if self._size is not None:
            return self._size, self._size
        reason = "there are none"
        for index in range(min(count, _PROBED_ROWS)):
            try:
                height, width = self._decode(index).shape[1:]
            except CorruptImageError as error:
                reason = str(error)
            else:
                return height, width
        raise DataError(f"none of the first images could be decoded: {reason}")
