"""Every format against what the released codes write of torchvision's own draws."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from released_draws import (
    BLUR,
    CROP,
    FLIP,
    GRAY,
    JITTER,
    QUARTERS,
    SOLARIZE,
    Record,
    drawn,
    pipeline_of,
)
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

import augspec
from augspec.formats import encode_as, format_columns
from augspec.formats.augself import AugSelf
from augspec.formats.cassle import Cassle
from augspec.formats.difference import Difference

SIZES = [(32, 32), (375, 500), (500, 333), (96, 96), (41, 1000), (1200, 1600)]
MANY = SIZES * 12


def sizes_tensor(sizes: list[tuple[int, int]]) -> Tensor:
    return torch.tensor(sizes, dtype=torch.float64)


def agree(ours: Tensor, theirs: list[list[float]], atol: float = 2e-6) -> None:
    torch.testing.assert_close(ours, torch.tensor(theirs), rtol=0, atol=atol)


def official(r: Record, *, blur: bool, solarize: bool) -> list[float]:
    """EquiMod's ParamCompose, joined: crop and flip, jitter and gray, blur, solarize."""
    row = [r.top, r.left, r.height, r.width, r.flip, r.jitter, *r.order, *r.factors, r.gray]
    return [float(x) for x in row + [r.blur, r.sigma] * blur + [r.solarize] * solarize]


@pytest.mark.parametrize(
    ("more", "width"), [([], 15), ([BLUR], 17), ([SOLARIZE], 16), ([BLUR, SOLARIZE], 18)]
)
def test_equimod(more: list[dict], width: int) -> None:
    pipeline = pipeline_of(first=[CROP, FLIP, JITTER, GRAY, *more])
    records, params = drawn(pipeline, MANY, seed=width)
    gates = {(r.flip, r.jitter, r.gray) for r in records["first"]}
    assert len(gates) == 8  # every gate on and off
    ours = encode_as("equimod", pipeline, params, sizes_tensor(MANY))["first"]
    assert ours.shape == (len(MANY), width) and ours.dtype == torch.float32
    tags = [op["op"] for op in more]
    theirs = [
        official(r, blur="gaussian_blur" in tags, solarize="solarize" in tags)
        for r in records["first"]
    ]
    agree(ours, theirs)
    # what is a whole number is one, bit for bit
    whole = [
        c.whole or c.unit == "0 or 1" for c in format_columns("equimod", pipeline.plan, "first")
    ]
    assert torch.equal(ours[:, whole], torch.tensor(theirs)[:, whole])
    assert sum(whole) == width - 4 - ("gaussian_blur" in tags)


@pytest.mark.parametrize(
    ("recipe", "size", "width"),
    [
        ("simclr-cifar10", (32, 32), 15),
        ("simclr-imagenet", (375, 500), 17),
        ("byol-cifar10", (32, 32), 18),
        ("byol-imagenet", (500, 333), 18),
    ],
)
def test_equimod_of_the_recipes(root: Path, recipe: str, size: tuple[int, int], width: int) -> None:
    pipeline = augspec.load_pipeline(root / "specs" / "augmentations" / f"{recipe}.yaml")
    records, params = drawn(pipeline, [size] * 40)
    found = encode_as("equimod", pipeline, params, size)
    assert list(found) == ["first", "second"]  # nothing is drawn for `original`
    for name, ours in found.items():
        theirs = [official(r, blur=width > 16, solarize=width == 18) for r in records[name]]
        agree(ours, theirs)


def strengths(r: Record, ranges: list[float]) -> list[float]:
    neutral = [1.0, 1.0, 1.0, 0.0]
    return [(f - n) / w for f, n, w in zip(r.factors, neutral, ranges, strict=True)]


RANGES = [0.8, 0.6, 0.6, 0.2]
"""What JITTER draws from, as widths."""


def released_difference(a: Record, b: Record, *, mirror_second_by: Record) -> list[float]:
    """AugSelf's `extract_diff`, image by image."""

    def box(r: Record, flip: int) -> list[float]:
        (H, W), across = r.size, (r.left + r.width / 2) / r.size[1]
        down = (r.top + r.height / 2) / H
        return [down, 1 - across if flip else across, r.height / H, r.width / W]

    crop = [x - y for x, y in zip(box(a, a.flip), box(b, mirror_second_by.flip), strict=True)]
    color = [x - y for x, y in zip(strengths(a, RANGES), strengths(b, RANGES), strict=True)]
    turn = (a.quarters - b.quarters + 4) % 4
    rest = [float(a.flip == b.flip), a.sigma - b.sigma, turn, a.threshold - b.threshold]
    return [*crop, *color, *rest]


@pytest.mark.parametrize("mirror", ["first", "own"])
def test_augself(mirror: str) -> None:
    ops = [CROP, FLIP, JITTER, SOLARIZE, GRAY, BLUR, {**QUARTERS, "quarters": [0, 1, 2, 3]}]
    ops[0] = {**CROP, "size": 24}  # quarter turns need squares
    pipeline = pipeline_of(first=ops, second=ops)
    records, params = drawn(pipeline, MANY, seed=3)
    found = encode_as(AugSelf(mirror=mirror), pipeline, params, sizes_tensor(MANY))
    assert list(found) == ["first,second", "second,first"]
    for names, ours in found.items():
        one, other = names.split(",")
        theirs = [
            released_difference(a, b, mirror_second_by=a if mirror == "first" else b)
            for a, b in zip(records[one], records[other], strict=True)
        ]
        agree(ours, theirs)
    names = [c.name for c in format_columns("augself", pipeline.plan, "first", "second")]
    assert names[8:] == ["flip", "blur", "rot", "sol"]
    there, back = found.values()
    opposite = (there + back)[:, 1].abs() < 1e-6
    alike = there[:, 8] == 1
    assert opposite[alike].all()
    # as released, the way back is not the way there reversed where the flips differ
    assert opposite[~alike].all() if mirror == "own" else opposite[~alike].double().mean() < 0.5


def test_augself_has_what_the_views_have(root: Path) -> None:
    pipeline = augspec.load_pipeline(root / "specs" / "augmentations" / "augself-stl10.yaml")
    records, params = drawn(pipeline, [(96, 96)] * 30)
    ours = encode_as("augself", pipeline, params, (96, 96))["first,second"]
    ranges = [0.8, 0.8, 0.8, 0.2]
    rows = []
    for a, b in zip(records["first"], records["second"], strict=True):
        row = released_difference(a, b, mirror_second_by=a)[:10]
        row[4:8] = [x - y for x, y in zip(strengths(a, ranges), strengths(b, ranges), strict=True)]
        rows.append(row)
    agree(ours, rows)


def jittered(image: Tensor, r: Record) -> Tensor:
    steps = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
    for k in r.order:
        image = steps[k](image, r.factors[k]) if r.jitter else image
    return image


@pytest.mark.parametrize("keys", [None, ("flip", "crop", "color_diff")])
def test_cassle(keys: tuple[str, ...] | None) -> None:
    pipeline = pipeline_of(view=[CROP, FLIP, JITTER, GRAY, BLUR])
    size, count = (40, 50), 32
    records, params = drawn(pipeline, [size] * count, seed=5)
    images = torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))
    ours = encode_as(Cassle(keys), pipeline, params, size, images=images)["view"]
    rows = []
    for r, image in zip(records["view"], images, strict=True):
        box = [r.top, r.left, r.height, r.width]
        x = F.resized_crop(image, *box, [24, 20], InterpolationMode.BILINEAR, antialias=True)
        x = F.hflip(x) if r.flip else x
        change = (x.mean(dim=(1, 2)) - jittered(x, r).mean(dim=(1, 2))).tolist()
        across = (r.left + r.width / 2) / size[1]
        described = {
            "crop": [
                (r.top + r.height / 2) / size[0],
                1 - across if r.flip else across,
                r.height / size[0],
                r.width / size[1],
            ],
            "color": strengths(r, RANGES),
            "color_diff": change,
            "blur": [r.sigma],
            "grayscale": [r.gray],
            "flip": [r.flip],
        }
        asked = keys or ("crop", "color", "color_diff", "blur", "grayscale")
        rows.append([float(x) for key in sorted(asked) for x in described[key]])
    assert ours.shape == (count, 13 if keys is None else 8)
    agree(ours, rows, atol=1e-5)  # means of pixels


@pytest.mark.parametrize("blur", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_difference(normalize: bool, blur: bool) -> None:
    ops = [CROP, FLIP, JITTER, GRAY, *([BLUR] if blur else []), SOLARIZE]
    pipeline = pipeline_of(a=ops, b=ops, c=ops)
    records, params = drawn(pipeline, MANY, seed=7)
    found = encode_as(Difference(normalize), pipeline, params, sizes_tensor(MANY))
    assert list(found) == ["a,b", "b,c"]
    kept = [
        [[r.top, r.left, r.height, r.width, *r.factors, *[r.sigma] * blur] for r in records[view]]
        for view in "abc"
    ]
    rows: dict[str, list[list[float]]] = {"a,b": [], "b,c": []}
    for image in zip(*kept, strict=True):
        norms = [math.sqrt(sum(x * x for x in column)) for column in zip(*image, strict=True)]
        used = [n if normalize and n > 0 else 1.0 for n in norms]
        views = [[x / n for x, n in zip(view, used, strict=True)] for view in image]
        for key, (before, after) in zip(rows, itertools.pairwise(views), strict=True):
            rows[key].append([y - x for x, y in zip(before, after, strict=True)])
    for key, ours in found.items():
        agree(ours, rows[key], atol=5e-5)  # a hue of 0.01 turn, say, divided by its norm


def test_the_view_is_what_torchvision_shows_for_these_parameters(
    root: Path, photos: list[Path]
) -> None:
    """So that the vector describes the pixels it comes with."""
    path = root / "specs" / "augmentations" / "byol-imagenet.yaml"
    settings = [
        "normalize=null",
        *(f"views.second.ops.{o}.p=0.7" for o in ("gaussian_blur", "solarize")),
    ]
    pipeline = augspec.load_pipeline(path, settings)
    photo = decode_image(str(photos[0]), ImageReadMode.RGB).float() / 255
    size, count = (photo.shape[-2], photo.shape[-1]), 4
    records, params = drawn(pipeline, [size] * count, seed=2)
    views = pipeline.apply(photo.expand(count, -1, -1, -1), {"second": params["second"]})["second"]
    acted = set()
    for r, ours in zip(records["second"], views, strict=True):
        box = [r.top, r.left, r.height, r.width]
        x = F.resized_crop(photo, *box, [224, 224], InterpolationMode.BICUBIC, antialias=True)
        x = F.hflip(x) if r.flip else x
        x = jittered(x, r)
        x = F.rgb_to_grayscale(x, 3) if r.gray else x
        x = F.gaussian_blur(x, [23, 23], [r.sigma]) if r.blur else x
        x = F.solarize(x, 128 / 255) if r.solarize else x
        # rounding may move a pixel across the threshold of solarize, and then it is inverted
        close = (ours - x).abs().amax(dim=0) < 2e-4
        assert close.double().mean() > 0.999
        acted |= {
            name for name in ("flip", "jitter", "gray", "blur", "solarize") if getattr(r, name)
        }
    assert len(acted) == 5
