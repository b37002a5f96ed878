"""The work that every contestant does: a published recipe, on real photographs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional as F

import augspec
from augspec.language.spec import Spec

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "specs" / "augmentations"
VIEWS = ("first", "second")
"""The augmented views, which every contestant makes; `original` has no counterpart elsewhere."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Recipe:
    """The numbers of one augmented view, read from the spec: every contestant gets the same ones.

    Attributes:
        size: side of the view, pixels.
        area: share of the source's area that a box covers.
        aspect: width over height of a box, drawn uniformly in its logarithm.
        flip: probability.
        jitter: probability.
        brightness: range of the factor; contrast and saturation likewise.
        hue: range of the shift, turns.
        grayscale: probability.
        blur: probability; 0 where the recipe has none.
        kernel: side of the blur's window, pixels.
        sigma: range of the blur's standard deviation, pixels.
        mean: of each channel, for the normalisation; std likewise.
    """

    size: int
    area: Range
    aspect: Range
    flip: float
    jitter: float
    brightness: Range
    contrast: Range
    saturation: Range
    hue: Range
    grayscale: float
    blur: float
    kernel: int
    sigma: Range
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def read(cls, spec: Spec) -> Recipe:
        """Of a spec whose views are made of these ops, in SimCLR's order."""
        ops = {op.op: op for op in spec.views[VIEWS[0]].ops}
        crop, jitter, blur = ops["resized_crop"], ops["color_jitter"], ops.get("gaussian_blur")
        return cls(
            size=crop.size,
            area=(crop.area.low, crop.area.high),
            aspect=(crop.aspect.low, crop.aspect.high),
            flip=ops["horizontal_flip"].p,
            jitter=jitter.p,
            brightness=(jitter.brightness.low, jitter.brightness.high),
            contrast=(jitter.contrast.low, jitter.contrast.high),
            saturation=(jitter.saturation.low, jitter.saturation.high),
            hue=(jitter.hue.low, jitter.hue.high),
            grayscale=ops["grayscale"].p,
            blur=blur.p if blur else 0.0,
            kernel=blur.kernel if blur else 1,
            sigma=(blur.sigma.low, blur.sigma.high) if blur else (0.0, 0.0),
            mean=spec.normalize.mean,
            std=spec.normalize.std,
        )


@dataclass(frozen=True)
class Workload:
    """One batch to augment.

    Attributes:
        name: for files and the command line.
        title: for people.
        recipe_name: the spec, under `specs/augmentations`.
        batch: how many source images; each gives two views.
        side: the source images' side in pixels; None for JPEG bytes of photographs as they are.
        size: the views' side, where it is not the recipe's own.
    """

    name: str
    title: str
    recipe_name: str
    batch: int
    side: int | None
    size: int | None = None

    @property
    def ragged(self) -> bool:
        """Whether the source is the bytes of photographs, of different sizes."""
        return self.side is None

    def spec(self) -> Spec:
        """The published spec; with `size`, its augmented views at that size."""
        spec = augspec.load(RECIPES / f"{self.recipe_name}.yaml")
        if self.size is None:
            return spec
        document = spec.model_dump(mode="json", exclude_defaults=True) | {"version": 1}
        document.pop("image", None)
        views = {name: document["views"][name] for name in VIEWS}
        for view in views.values():
            view["ops"][0]["size"] = self.size
        return augspec.loads(json.dumps(document | {"views": views}))

    def recipe(self) -> Recipe:
        """The numbers of a view."""
        return Recipe.read(self.spec())

    def resized(self, batch: int, side: int, size: int) -> Workload:
        """The same recipe on another number of images, or at another size."""
        return replace(self, batch=batch, side=side, size=size)

    def view_bytes(self) -> int:
        """Bytes of the two float32 views of the batch."""
        return len(VIEWS) * self.batch * 3 * self.recipe().size ** 2 * 4

    def images(self, photos: Path) -> Tensor | list[bytes]:
        """The source: uint8 `(B, 3, side, side)`, or B JPEG files; repeated where they are few."""
        if self.side is None:
            files = _files(photos)
            return [files[i % len(files)] for i in range(self.batch)]
        pool = _squares(photos, self.side, min(self.batch, len(_files(photos))))
        return pool[torch.arange(self.batch) % len(pool)]


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("imagenet", "SimCLR-ImageNet, 256 → 224", "simclr-imagenet", 64, 256),
        Workload("photographs", "SimCLR-ImageNet from JPEG bytes", "simclr-imagenet", 64, None),
        Workload("cifar", "SimCLR-CIFAR, 32 → 32", "simclr-cifar10", 512, 32),
    )
}


@cache
def _files(photos: Path) -> list[bytes]:
    """The JPEG files of a folder, sorted by name.

    Raises:
        FileNotFoundError: there are none.
    """
    found = [path.read_bytes() for path in sorted(photos.glob("*.jpg"))]
    if not found:
        raise FileNotFoundError(f"no photographs (*.jpg) in {photos}: name a folder with --photos")
    return found


@cache
def _squares(photos: Path, side: int, count: int) -> Tensor:
    """The central squares of the first photographs, uint8 `(count, 3, side, side)`."""
    return torch.stack([square(decoded(file), side) for file in _files(photos)[:count]])


def decoded(file: bytes) -> Tensor:
    """A JPEG file as uint8 RGB `(3, H, W)`, by torchvision's libjpeg-turbo."""
    return decode_jpeg(torch.frombuffer(bytearray(file), dtype=torch.uint8), ImageReadMode.RGB)


def square(image: Tensor, side: int) -> Tensor:
    """The shorter side resized to `side` (bilinear, antialiased), and the centre cut out."""
    return F.center_crop(F.resize(image, [side], antialias=True), [side, side])
