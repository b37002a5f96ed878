"""Whole views against torchvision v2, sample by sample, on photographs and CIFAR images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

import augspec
from augspec import Pipeline
from augspec.encoding.codecs import Order

MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
TOLERANCE = {"resized_crop": 2e-5, "horizontal_flip": 0.0, "color_jitter": 1e-4}
TOLERANCE |= {"grayscale": 2e-4, "gaussian_blur": 1e-5, "solarize": 0.0}


def torchvision_step(step: augspec.compiler.plan.Step, x: Tensor, p: dict[str, float]) -> Tensor:
    """What torchvision makes of one image `(C, H, W)` with one sample's parameters."""
    op, (height, width) = step.op, x.shape[-2:]
    if op.tag() == "resized_crop":
        h, w = round(p["height"] * height), round(p["width"] * width)
        top = round(p["center_y"] * height - h / 2)
        left = round(p["center_x"] * width - w / 2)
        size = [op.size, op.size]
        return F.resized_crop(x, top, left, h, w, size, MODES[op.interpolation], antialias=True)
    if op.tag() == "horizontal_flip":
        return F.horizontal_flip(x) if p["flip"] else x
    if op.tag() == "color_jitter":
        steps = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
        values = [p["brightness"], p["contrast"], p["saturation"], p["hue"]]
        for k in Order().permutation(torch.tensor([p["order"]]))[0].tolist():
            x = steps[k](x, values[k])
        return x
    if op.tag() == "grayscale":
        return F.rgb_to_grayscale(x, num_output_channels=3) if p["gray"] else x
    if op.tag() == "gaussian_blur":
        sigma = p["sigma"] * min(height, width)
        return F.gaussian_blur(x, [op.kernel] * 2, [sigma] * 2) if sigma else x
    assert op.tag() == "solarize"
    return F.solarize(x, p["threshold"]) if p["on"] else x


def assert_parity(pipeline: Pipeline, images: Tensor, ids: Tensor) -> set[str]:
    """Compares step by step, each on the input that our previous step made."""
    batch = pipeline(images, ids=ids, epoch=1)
    acted = set()
    for view in pipeline.plan.views:
        x = images.float() / 255
        for step in view.steps:
            if not step.op.parameters():
                x = step.op.apply(x, {})
                continue
            names = [p.name for p in step.op.parameters()]
            own = {name: batch.params[view.name][step.key(name)] for name in names}
            keeps = step.op.keeps_size
            active = step.op.active(own) if keeps else torch.ones(len(x), dtype=torch.bool)
            ours = step.op.apply(x, own)
            for i in range(len(x)):
                # what the gate leaves out, torchvision's RandomApply does not call
                one = {name: value[i].item() for name, value in own.items()}
                theirs = torchvision_step(step, x[i], one) if active[i] else x[i]
                tolerance = TOLERANCE[step.op.tag()]
                torch.testing.assert_close(ours[i], theirs, rtol=0, atol=tolerance)
            if active.any():
                acted.add(step.op.tag())
            x = ours
    return acted


@pytest.mark.parametrize("name", ["simclr-imagenet", "byol-imagenet"])
def test_photographs(name: str, root: Path, photos: list[Path]) -> None:
    pipeline = augspec.load_pipeline(root / "specs" / "augmentations" / f"{name}.yaml", seed=1)
    acted = set()
    for index, path in enumerate(photos[:40:4]):
        photo = decode_image(str(path), ImageReadMode.RGB)[None]
        acted |= assert_parity(pipeline, photo, torch.tensor([index]))
    assert acted >= {"resized_crop", "horizontal_flip", "color_jitter", "gaussian_blur"}


@pytest.mark.parametrize("name", ["simclr-cifar10", "byol-cifar10"])
def test_cifar(name: str, root: Path, cifar10_folder: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(cifar10_folder / "test-00000-of-00001.parquet").slice(0, 64)
    raw = [
        torch.frombuffer(bytearray(r["bytes"]), dtype=torch.uint8) for r in rows["img"].to_pylist()
    ]
    images = torch.stack([decode_image(r, ImageReadMode.RGB) for r in raw])
    pipeline = augspec.load_pipeline(root / "specs" / "augmentations" / f"{name}.yaml", seed=1)
    acted = assert_parity(pipeline, images, torch.arange(64))
    assert acted >= {"resized_crop", "horizontal_flip", "color_jitter", "grayscale"}


def test_resize_and_center_crop(photos: list[Path], root: Path) -> None:
    pipeline = augspec.load_pipeline(root / "specs" / "augmentations" / "simclr-imagenet.yaml")
    theirs = v2.Compose(
        [
            v2.Resize(256, InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(224),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    for path in photos[::20]:
        photo = decode_image(str(path), ImageReadMode.RGB)[None]
        ours = pipeline.apply(photo, {"original": {}})["original"]
        torch.testing.assert_close(ours, theirs(photo.float() / 255), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (375, 500), (40, 400)])
def test_boxes_are_distributed_as_torchvision_draws_them(size: tuple[int, int]) -> None:
    """The same law for height, width, top and left: two-sample Kolmogorov-Smirnov tests."""
    text = """{version: 1, name: t, views: {v: {ops: [{op: resized_crop, size: 8,
        area: [0.2, 1.0], aspect: {log_uniform: [0.75, 1.3333333333333333]}}]}}}"""
    pipeline = augspec.compile(augspec.loads(text))
    height, width = size
    p = pipeline.decode(pipeline.draw(torch.arange(6000), 0, size))["v"]
    h, w = p["resized_crop.height"] * height, p["resized_crop.width"] * width
    top = p["resized_crop.center_y"] * height - h / 2
    left = p["resized_crop.center_x"] * width - w / 2
    ours = torch.stack([top, left, h, w]).round()

    torch.manual_seed(0)
    crop, blank = v2.RandomResizedCrop(8, scale=(0.2, 1.0)), torch.empty(3, height, width)
    drawn = [crop.make_params([blank]) for _ in range(6000)]
    for k, key in enumerate(("top", "left", "height", "width")):
        theirs = torch.tensor([d[key] for d in drawn])
        assert stats.ks_2samp(ours[k].numpy(), theirs.numpy()).pvalue > 1e-3, key
