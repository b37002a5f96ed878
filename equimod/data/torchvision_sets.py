"""CIFAR-10, CIFAR-100 and STL-10, downloaded, checked (MD5) and unpacked by torchvision.

Where several processes of one machine start at once, let one of them build the data first:
torchvision's downloads do not wait for each other.

torchvision takes seconds to import, which who checks or submits a run need not wait for: it is
imported where a set is read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import torch
from pydantic import Field

from augspec import DocumentModel
from equimod.data.base import DataError, Known, Split, fingerprint, resolve
from equimod.data.memory import InMemoryImages

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10, STL10

T = TypeVar("T")


class _TorchvisionConfig(DocumentModel):
    root: Path = Field(default=Path("data"))
    """The folder that holds the data set's own folder; relative to the current folder."""
    download: bool = True
    """Download the data set if it is not there."""


class CIFAR10Config(_TorchvisionConfig):
    """CIFAR-10 (Krizhevsky, 2009): 50,000 + 10,000 images 32x32 in 10 classes; 170 MB."""

    source: Literal["cifar10"] = "cifar10"

    def known(self) -> Known:
        """See `Known`; the numbers are the publications'."""
        return Known(50_000, (32, 32))

    def build(self, split: Split, base_dir: Path) -> InMemoryImages:
        """Reads one split into memory; see `read_cifar`."""
        from torchvision.datasets import CIFAR10

        return read_cifar(CIFAR10, "CIFAR-10", resolve(self.root, base_dir), split, self.download)


class CIFAR100Config(_TorchvisionConfig):
    """CIFAR-100 (Krizhevsky, 2009): 50,000 + 10,000 images 32x32 in 100 classes; 169 MB."""

    source: Literal["cifar100"] = "cifar100"

    def known(self) -> Known:
        """See `Known`; the numbers are the publications'."""
        return Known(50_000, (32, 32))

    def build(self, split: Split, base_dir: Path) -> InMemoryImages:
        """Reads one split into memory; see `read_cifar`."""
        from torchvision.datasets import CIFAR100

        return read_cifar(CIFAR100, "CIFAR-100", resolve(self.root, base_dir), split, self.download)


class STL10Config(_TorchvisionConfig):
    """STL-10: 5,000 + 8,000 images 96x96 in 10 classes and 100,000 without a label; 2.6 GB.

    Coates, Ng and Lee, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning",
    2011.
    """

    source: Literal["stl10"] = "stl10"
    unlabeled: bool = True
    """Add the 100,000 unlabelled images to the train split, with label -1 (2.9 GB of memory instead
    of 0.14)."""

    def known(self) -> Known:
        """See `Known`; the numbers are the publications'."""
        return Known(105_000 if self.unlabeled else 5_000, (96, 96))

    def build(self, split: Split, base_dir: Path) -> InMemoryImages:
        """Reads one split into memory; see `read_stl10`."""
        from torchvision.datasets import STL10

        root = resolve(self.root, base_dir)
        return read_stl10(STL10, root, split, self.unlabeled, self.download)


def read_cifar(
    kind: type[CIFAR10], title: str, root: Path, split: Split, download: bool
) -> InMemoryImages:
    """Reads CIFAR-10, CIFAR-100 or a set stored like them.

    Args:
        kind: torchvision's class, which knows the files and their MD5 sums.
        title: what to call it.
        root: the folder that holds `kind.base_folder`.
        split: `"train"` or `"test"`.
        download: fetch it if it is not there.

    Raises:
        DataError: it is not there, or damaged, and was not or could not be downloaded.
    """
    data = _open(
        lambda fetch: kind(root, train=split == "train", download=fetch),
        title,
        root / kind.base_folder,
        download,
    )
    images = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
    return _in_memory(images, np.asarray(data.targets), title, split, tuple(data.classes))


def read_stl10(
    kind: type[STL10], root: Path, split: Split, unlabeled: bool, download: bool
) -> InMemoryImages:
    """Reads STL-10, or a set stored like it.

    Args:
        kind: torchvision's class, which knows the files and their MD5 sums.
        root: the folder that holds `kind.base_folder`.
        split: `"train"` or `"test"`.
        unlabeled: add the unlabelled images to the train split.
        download: fetch it if it is not there.

    Raises:
        DataError: it is not there, or damaged, and was not or could not be downloaded.
    """
    part = "train+unlabeled" if split == "train" and unlabeled else split
    data = _open(
        lambda fetch: kind(root, split=part, download=fetch),
        "STL-10",
        root / kind.base_folder,
        download,
    )
    images = np.ascontiguousarray(data.data)
    return _in_memory(images, data.labels, "STL-10", split, tuple(data.classes))


def _open(opener: Callable[[bool], T], title: str, folder: Path, download: bool) -> T:
    try:
        return opener(False)
    except RuntimeError as absent:  # torchvision's word for files that are missing or damaged
        if not download:
            raise DataError(
                f"{title} is not in {folder}, or its files are damaged; set `download: true`, or "
                f"put the unpacked archive there"
            ) from absent
    try:
        return opener(True)
    except (OSError, RuntimeError, EOFError) as error:
        raise DataError(
            f"{title} is not in {folder} and cannot be downloaded ({error}); on a machine with a "
            f"network, download it and copy its folder there, or set `root` to where it is"
        ) from error


def _in_memory(
    images: np.ndarray, labels: np.ndarray, title: str, split: Split, names: tuple[str, ...]
) -> InMemoryImages:
    labels = labels.astype(np.int64)[:, None]
    return InMemoryImages(
        torch.from_numpy(images),
        title=title,
        split=split,
        labels=torch.from_numpy(labels),
        classes={"class": names},
        fingerprint=fingerprint(images, labels),
    )
