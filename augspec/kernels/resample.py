"""Crop and resize by separable weight matrices, one box per sample, with torchvision's pixels.

A box is given by its edges in source pixels: `top=3, bottom=27` holds the pixels 3 to 26. Integer
boxes reproduce torchvision v2's crop followed by resize on float images; fractional ones lie
between them, so that the result is differentiable in the box.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import center_crop_image

Interpolation = Literal["nearest", "bilinear", "bicubic"]

# Edges this close to a whole pixel, relative to the side, are that pixel's edge: boxes that went
# through float32 codes come back exactly as they were.
_SNAP = 2e-6
_REACH = {"bilinear": 1, "bicubic": 2}  # half the support of the filter, in pixels
_CUBIC_ANTIALIASED, _CUBIC = -0.5, -0.75  # PyTorch's cubic coefficients


def crop_resize(
    x: Tensor,
    top: Tensor,
    bottom: Tensor,
    left: Tensor,
    right: Tensor,
    size: tuple[int, int],
    *,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> Tensor:
    """Crop each sample's own box and resize it to a common size.

    Two batched matrix products in the dtype of `x`, which is why allowing TF32 for matrix products
    costs accuracy here too. Bicubic results may leave [0, 1], as in torchvision: nothing clamps.

    Args:
        x: `(B, C, H, W)`, float32 or float64.
        top: `(B,)` upper edges in pixels, `0 <= top < bottom <= H`, likewise the other edges; boxes
            that leave the image are not checked for.
        bottom: `(B,)` lower edges.
        left: `(B,)` left edges.
        right: `(B,)` right edges.
        size: height and width of the result in pixels.
        interpolation: filter.
        antialias: widen the filter when the box shrinks (ignored for `nearest`).

    Returns:
        `(B, C, *size)`. A box equal to the whole image and of its size gives `x` bit by bit.
    """
    B, C, H, W = x.shape
    h, w = size
    rows = axis_weights(top, bottom, H, h, interpolation, antialias).to(x.dtype)
    columns = axis_weights(left, right, W, w, interpolation, antialias).to(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        wide_BHw = torch.bmm(x.reshape(B, C * H, W), columns.mT).reshape(B, C, H, w)
        return torch.matmul(rows.unsqueeze(1), wide_BHw)


def axis_weights(
    low: Tensor,
    high: Tensor,
    in_size: int,
    out_size: int,
    interpolation: Interpolation,
    antialias: bool,
) -> Tensor:
    """Return the matrices that crop `[low, high]` along one axis and resize it.

    Args:
        low: `(B,)` float64 lower edges of the boxes in source pixels.
        high: `(B,)` float64 upper edges, `0 <= low < high <= in_size`.
        in_size: source pixels.
        out_size: target pixels.
        interpolation: filter.
        antialias: widen the filter when the box shrinks (ignored for `nearest`).

    Returns:
        `(B, out_size, in_size)` in the dtype of `low`; rows sum to 1.
    """
    low, high = _snap(low, in_size), _snap(high, in_size)
    if interpolation == "nearest":
        return _nearest(low, high, in_size, out_size)
    if antialias:
        return _antialiased(low, high, in_size, out_size, interpolation)
    return _interpolated(low, high, in_size, out_size, interpolation)


def _snap(edge: Tensor, in_size: int) -> Tensor:
    """Move edges that are whole up to rounding onto the whole pixel; the gradient passes."""
    whole = edge.round()
    near = (edge - whole).abs() <= _SNAP * in_size
    return edge + torch.where(near, whole - edge, 0.0).detach()


def _antialiased(
    low: Tensor, high: Tensor, in_size: int, out_size: int, interpolation: Interpolation
) -> Tensor:
    """Widened filter over the pixels of the box, each counted by the part of it in the box."""
    # Snapping may have closed a sliver of a box; a tiny one still has normalised weights.
    high = torch.maximum(high, low + 1e-6)
    scale = (high - low).unsqueeze(1) / out_size
    stretch = scale.clamp_min(1.0)
    centre = low.unsqueeze(1) + scale * _centres(out_size, low)
    # A box is no larger than the image, so the number of taps has a bound known beforehand.
    taps = math.ceil(2 * _REACH[interpolation] * max(in_size / out_size, 1.0)) + 2
    first = (centre - _REACH[interpolation] * stretch).floor().detach()
    pixel = first.unsqueeze(2) + torch.arange(taps, dtype=low.dtype, device=low.device)
    distance = (pixel + 0.5 - centre.unsqueeze(2)) / stretch.unsqueeze(2)
    weight = _filter(distance.abs(), interpolation, _CUBIC_ANTIALIASED)
    weight = weight * _overlap(pixel, low.reshape(-1, 1, 1), high.reshape(-1, 1, 1))
    weight = weight / weight.sum(dim=2, keepdim=True)
    # Taps outside the image lie outside the box: what they add at the border is zero.
    index = pixel.long().clamp(0, in_size - 1)
    return weight.new_zeros(low.shape[0], out_size, in_size).scatter_add(2, index, weight)


def _overlap(pixel: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the length of `[pixel, pixel + 1]` inside `[low, high]`.

    `minimum` and `maximum` share the gradient at ties, so at whole edges the derivative is the mean
    of the one-sided ones.
    """
    end = torch.maximum(torch.minimum(high, pixel + 1.0), pixel)
    start = torch.maximum(torch.minimum(low, pixel + 1.0), pixel)
    return end - start


def _interpolated(
    low: Tensor, high: Tensor, in_size: int, out_size: int, interpolation: Interpolation
) -> Tensor:
    """Plain interpolation between the nearest pixels; those beyond the box repeat its edge."""
    scale = (high - low).unsqueeze(1) / out_size
    position = low.unsqueeze(1) + scale * _centres(out_size, low) - 0.5
    first, last = _whole_box(low, high, in_size)
    base = position.floor().detach()
    weights = low.new_zeros(low.shape[0], out_size, in_size)
    reach = _REACH[interpolation]
    # One tap at a time: taps that meet at the edge then add up in a fixed order on every device.
    for tap in range(1 - reach, reach + 1):
        weight = _filter((base + tap - position).abs(), interpolation, _CUBIC)
        index = torch.minimum(torch.maximum(base.long() + tap, first), last)
        weights = weights.scatter_add(2, index.unsqueeze(2), weight.unsqueeze(2))
    return weights


def _nearest(low: Tensor, high: Tensor, in_size: int, out_size: int) -> Tensor:
    """Pick one pixel of the whole box for each target pixel; there is no gradient."""
    first, last = _whole_box(low, high, in_size)
    # PyTorch multiplies in float32, which decides between neighbours where the product is whole.
    scale = (last - first + 1).float() / out_size
    step = torch.arange(out_size, dtype=torch.float32, device=low.device)
    index = torch.minimum(first + (scale * step).floor().long(), last)
    weights = low.new_zeros(low.shape[0], out_size, in_size)
    return weights.scatter(2, index.unsqueeze(2), 1.0)


def _whole_box(low: Tensor, high: Tensor, in_size: int) -> tuple[Tensor, Tensor]:
    """Return the first and last pixel `(B, 1)` of the rounded box, which holds at least one.

    A box that rounding would leave empty is the pixel at its middle.
    """
    low, high = low.detach().unsqueeze(1), high.detach().unsqueeze(1)
    first = torch.minimum(low.round(), (0.5 * (low + high)).floor()).long().clamp(0, in_size - 1)
    last = torch.maximum(high.round().long().clamp_max(in_size) - 1, first)
    return first, last


def _centres(out_size: int, like: Tensor) -> Tensor:
    return torch.arange(out_size, dtype=like.dtype, device=like.device) + 0.5


def _filter(distance: Tensor, interpolation: Interpolation, coefficient: float) -> Tensor:
    """Evaluate the triangle, or Keys' cubic (IEEE TASSP 1981), at distances >= 0."""
    if interpolation == "bilinear":
        return (1.0 - distance).clamp_min(0.0)
    a = coefficient
    near = ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
    far = a * (((distance - 5.0) * distance + 8.0) * distance - 4.0)
    return torch.where(distance < 1.0, near, torch.where(distance < 2.0, far, 0.0))


def center_crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop `(B, C, H, W)` around the centre, with zeros around images that are smaller."""
    return center_crop_image(x, list(size))


def resize(
    x: Tensor, size: tuple[int, int], interpolation: Interpolation, antialias: bool
) -> Tensor:
    """Resize whole images `(B, C, H, W)` to `size` (height, width), all alike.

    Args:
        x: images.
        size: height and width of the result in pixels.
        interpolation: filter.
        antialias: widen the filter when shrinking (ignored for `nearest`).

    Returns:
        `(B, C, *size)`; `x` itself if it has that size.
    """
    if x.shape[-2:] == size:
        return x
    if interpolation == "nearest":
        return F.interpolate(x, size, mode="nearest")
    return F.interpolate(x, size, mode=interpolation, align_corners=False, antialias=antialias)
