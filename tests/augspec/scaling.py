"""Specs and images at twice the resolution, and whether what they show is the same."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from random_specs import Case
from torch import Tensor

from augspec.language.within import parse_value
from augspec.ops import OPS
from augspec.ops.contract import Op, Size

NEAR = 0.03
"""How far, in intensity, a pixel may be from what is seen around it at twice the resolution."""

FEW = 0.1
"""The fraction of pixels that may be further off: those at the rim of a warped image, which
torchvision's fill darkens on one pixel's width whatever that width is, and at holes of less than a
pixel, which are met or missed. Hardly any view has 1 %."""


def smooth(size: Size, channels: int, batch: int, seed: int) -> Tensor:
    """Band-limited images `(batch, channels, *size)`: the same scenes at every resolution.

    Sums of waves of up to three periods a side. A pixel is the mean over its square, in closed
    form: so the mean of four is, exactly, the pixel of the image at half the resolution.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    y = ((torch.arange(height, dtype=torch.float64) + 0.5) / height)[:, None]
    x = (torch.arange(width, dtype=torch.float64) + 0.5) / width
    images = torch.full((batch, channels, height, width), 0.5, dtype=torch.float64)
    for _ in range(4):
        wave = torch.rand(batch, channels, 4, 1, 1, generator=generator, dtype=torch.float64)
        across, down, strength, phase = wave.unbind(2)
        across, down = 6 * across - 3, 6 * down - 3
        mean = torch.sinc(across / width) * torch.sinc(down / height)
        angle = 2 * math.pi * (across * x + down * y + phase)
        images += (0.04 + 0.08 * strength) * mean * angle.cos()
    return images.float()


def doubled(case: Case) -> Case:
    """The case at twice the resolution: every field that counts pixels counts twice as many."""
    document = dict(case.document)
    if "size" in document.get("image", {}):
        document["image"] = {**document["image"], "size": _twice(document["image"]["size"])}
    document["views"] = {
        name: {key: _view_field(key, value) for key, value in view.items()}
        for name, view in document["views"].items()
    }
    return Case(document, (2 * case.size[0], 2 * case.size[1]))


def _view_field(key: str, value: Any) -> Any:
    if key == "ops":
        return [_op(op) for op in value]
    return _twice(value) if key == "size" else value


def _op(document: dict[str, Any]) -> dict[str, Any]:
    """The op with its fields in pixels doubled: the defaults too."""
    cls = OPS[document["op"]]
    given = {**cls().model_dump(mode="json", include={*_PIXELS, *_lengths(cls)}), **document}
    found = {}
    for name, value in given.items():
        if name in _lengths(cls):
            whole = parse_value(value)
            found[name] = [2 * whole.low, 2 * whole.high]  # nothing is drawn: the bounds will do
        elif name == "ops":
            found[name] = [_op(op) for op in value]
        else:
            found[name] = _PIXELS[name](value) if name in _PIXELS else value
    return found


def _twice(value: Any) -> Any:
    return [2 * side for side in value] if isinstance(value, list) else 2 * value


_PIXELS = {
    "size": _twice,
    "padding": _twice,
    # so far from its middle, in pixels, that it reaches as far at both resolutions
    "kernel": lambda side: 2 * side - 1,
}


def _lengths(cls: type[Op]) -> set[str]:
    """The values in pixels: what parameter they become depends on the size of the image."""
    return {p.name for p in cls().parameters() if p.low is None} & set(cls.model_fields)


def strangers(view: Tensor, double: Tensor) -> Tensor:
    """The fraction of each view's pixels that are not to be seen nearby at twice the resolution.

    A pixel is, if it lies within `NEAR` of the values that the other view has up to a pixel away:
    that is how far resampling, rounding to whole pixels, or `nearest`, may move an edge.

    Args:
        view: `(B, C, H, W)`.
        double: `(B, C, 2 H, 2 W)`.

    Returns:
        `(B,)`.
    """
    around = F.pad(double, (2, 2, 2, 2), mode="replicate")
    high, low = F.max_pool2d(around, 6, stride=2), -F.max_pool2d(-around, 6, stride=2)
    off = torch.maximum(low - view, view - high) > NEAR
    return off.flatten(1).double().mean(dim=1)
