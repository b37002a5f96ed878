"""Which source pixels a resampled pixel is made of, along one axis, and with what weights.

`augspec.kernels.resample` spreads these taps into matrices; kernels that read pixels where they are
take them as they come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from augspec.kernels.opcodes import Filter

Interpolation = Literal["nearest", "bilinear", "bicubic"]

# Edges this close to a whole pixel, relative to the side, are that pixel's edge: boxes that went
# through float32 codes come back exactly as they were.
_SNAP = 2e-6
_REACH = {"bilinear": 1, "bicubic": 2}  # half the support of the filter, in pixels
_CUBIC_ANTIALIASED, _CUBIC = -0.5, -0.75  # PyTorch's cubic coefficients


def box_taps(
    low: Tensor,
    high: Tensor,
    in_size: int,
    out_size: int,
    interpolation: Interpolation,
    antialias: bool,
    target: Tensor,
) -> tuple[Tensor, Tensor]:
    """What pixels are made of to which the boxes `[low, high]` are resampled along one axis.

    Args:
        low: `(B,)` float64 lower edges of the boxes in source pixels.
        high: `(B,)` float64 upper edges, `0 <= low < high <= in_size`.
        in_size: source pixels.
        out_size: pixels to which each box is resampled.
        interpolation: filter.
        antialias: widen the filter when the box shrinks (ignored for `nearest`).
        target: `(n,)` or `(B, n)` int64, which of these pixels; what is said of one that there is
            not means nothing.

    Returns:
        The first tap of each, `(B, n)` int64, and the weights of this one and those after it,
        `(B, n, taps)` in the dtype of `low`; they sum to 1. A tap outside the image weighs nothing.
    """
    low, high = _snap(low, in_size), _snap(high, in_size)
    if interpolation == "nearest":
        return _nearest(low, high, in_size, out_size, target)
    if antialias:
        return _antialiased(low, high, in_size, out_size, interpolation, target)
    return _interpolated(low, high, in_size, out_size, interpolation, target)


def _snap(edge: Tensor, in_size: int) -> Tensor:
    """Move edges that are whole up to rounding onto the whole pixel; the gradient passes."""
    whole = edge.round()
    near = (edge - whole).abs() <= _SNAP * in_size
    return edge + torch.where(near, whole - edge, 0.0).detach()


def _antialiased(
    low: Tensor,
    high: Tensor,
    in_size: int,
    out_size: int,
    interpolation: Interpolation,
    target: Tensor,
) -> tuple[Tensor, Tensor]:
    """Widened filter over the pixels of the box, each counted by the part of it in the box."""
    # Snapping may have closed a sliver of a box; a tiny one still has normalised weights.
    high = torch.maximum(high, low + 1e-6)
    scale = (high - low).unsqueeze(1) / out_size
    stretch = scale.clamp_min(1.0)
    centre = low.unsqueeze(1) + scale * _centres(target, low)
    # A box is no larger than the image, so the number of taps has a bound known beforehand.
    taps = math.ceil(2 * _REACH[interpolation] * max(in_size / out_size, 1.0)) + 2
    first = (centre - _REACH[interpolation] * stretch).floor().detach()
    pixel = first.unsqueeze(2) + torch.arange(taps, dtype=low.dtype, device=low.device)
    distance = (pixel + 0.5 - centre.unsqueeze(2)) / stretch.unsqueeze(2)
    weight = _filter(distance.abs(), interpolation, _CUBIC_ANTIALIASED)
    weight = weight * _overlap(pixel, low.reshape(-1, 1, 1), high.reshape(-1, 1, 1))
    return first.long(), weight / weight.sum(dim=2, keepdim=True)


def _overlap(pixel: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the length of `[pixel, pixel + 1]` inside `[low, high]`.

    `minimum` and `maximum` share the gradient at ties, so at whole edges the derivative is the mean
    of the one-sided ones.
    """
    end = torch.maximum(torch.minimum(high, pixel + 1.0), pixel)
    start = torch.maximum(torch.minimum(low, pixel + 1.0), pixel)
    return end - start


def _interpolated(
    low: Tensor,
    high: Tensor,
    in_size: int,
    out_size: int,
    interpolation: Interpolation,
    target: Tensor,
) -> tuple[Tensor, Tensor]:
    """Plain interpolation between the nearest pixels; those beyond the box repeat its edge."""
    scale = (high - low).unsqueeze(1) / out_size
    position = low.unsqueeze(1) + scale * _centres(target, low) - 0.5
    first, last = _whole_box(low, high, in_size)
    base = position.floor().detach()
    reach = _REACH[interpolation]
    taps = min(2 * reach, in_size)
    start = (base.long() + 1 - reach).clamp(0, in_size - taps)
    weights = low.new_zeros(*start.shape, taps)
    # One tap at a time: taps that meet at the edge then add up in a fixed order on every device.
    for tap in range(1 - reach, reach + 1):
        weight = _filter((base + tap - position).abs(), interpolation, _CUBIC)
        index = torch.minimum(torch.maximum(base.long() + tap, first), last)
        place = (index - start).clamp(0, taps - 1)
        weights = weights.scatter_add(2, place.unsqueeze(2), weight.unsqueeze(2))
    return start, weights


def _nearest(
    low: Tensor, high: Tensor, in_size: int, out_size: int, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Pick one pixel of the whole box for each target pixel; there is no gradient."""
    first, last = _whole_box(low, high, in_size)
    # PyTorch multiplies in float32, which decides between neighbours where the product is whole.
    scale = (last - first + 1).float() / out_size
    index = torch.minimum(first + (scale * target.float()).floor().long(), last)
    return index, low.new_ones(*index.shape, 1)


def _whole_box(low: Tensor, high: Tensor, in_size: int) -> tuple[Tensor, Tensor]:
    """Return the first and last pixel `(B, 1)` of the rounded box, which holds at least one.

    A box that rounding would leave empty is the pixel at its middle.
    """
    low, high = low.detach().unsqueeze(1), high.detach().unsqueeze(1)
    first = torch.minimum(low.round(), (0.5 * (low + high)).floor()).long().clamp(0, in_size - 1)
    last = torch.maximum(high.round().long().clamp_max(in_size) - 1, first)
    return first, last


def _centres(target: Tensor, like: Tensor) -> Tensor:
    return target.to(like.dtype) + 0.5


def _filter(distance: Tensor, interpolation: Interpolation, coefficient: float) -> Tensor:
    """Evaluate the triangle, or Keys' cubic (IEEE TASSP 1981), at distances >= 0."""
    if interpolation == "bilinear":
        return (1.0 - distance).clamp_min(0.0)
    a = coefficient
    near = ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
    far = a * (((distance - 5.0) * distance + 8.0) * distance - 4.0)
    return torch.where(distance < 1.0, near, torch.where(distance < 2.0, far, 0.0))


@dataclass(frozen=True)
class Taps:
    """What each of n pixels of a line is made of, for B samples.

    Attributes:
        starts: `(B, n)` int32, the first tap of each; it may lie outside of the image.
        weights: `(B, taps, n)` float32, those of this tap and the ones after it; 0 outside.
        counts: `(B,)` int32, how many taps of the sample's pixels weigh anything at most.
    """

    starts: Tensor
    weights: Tensor
    counts: Tensor

    def halves(self) -> tuple[Taps, Taps]:
        """The taps of the first half of the samples, and of the second."""
        starts, weights, counts = (
            values.tensor_split(2) for values in (self.starts, self.weights, self.counts)
        )
        return Taps(starts[0], weights[0], counts[0]), Taps(starts[1], weights[1], counts[1])


def window_taps(
    how: Filter,
    antialias: bool,
    low: Tensor,
    high: Tensor,
    in_size: int,
    out_size: int,
    window: Tensor,
    flips: Tensor,
    shown: int,
) -> Taps:
    """The taps of a window into what a filter makes of a box.

    How many there are depends on the sizes and the filter alone, and is rounded up, so that few
    sizes differ in it. The host never waits for a GPU.

    Args:
        how: the filter; for `COPY`, the box is the whole axis.
        antialias: see `box_taps`, likewise the next four.
        low: `(B,)` float64.
        high: `(B,)` float64.
        in_size: source pixels.
        out_size: pixels to which the box is resampled; as many as the source has for `COPY`.
        window: `(B,)` int64, the first of these that the window shows; those outside are zero.
        flips: `(B,)` int64, whether the window is mirrored.
        shown: the pixels of the window, n.
    """
    place = torch.arange(shown, device=low.device)
    mirrored = flips.unsqueeze(1) > 0
    target = window.unsqueeze(1) + torch.where(mirrored, shown - 1 - place, place)
    if how == Filter.COPY:
        first, weights = target, low.new_ones(*target.shape, 1)
    else:
        mode = cast(Interpolation, how.name.lower())
        first, weights = box_taps(low, high, in_size, out_size, mode, antialias, target)
        if antialias and how != Filter.NEAREST:
            most = 2 * _REACH[mode] * max(in_size / out_size, 1.0)
            first, weights = _from_the_first(first, weights, _rounded(min(most, in_size)))
    exists = (target >= 0) & (target < out_size)
    weights = torch.where(exists.unsqueeze(2), weights, 0.0).float()
    taps = weights.shape[2]
    number = torch.arange(1, taps + 1, dtype=torch.int32, device=low.device)
    return Taps(
        starts=first.clamp(-taps, in_size).int(),
        weights=weights.mT.contiguous(),
        counts=((weights != 0).any(dim=1) * number).amax(dim=1),
    )


def _from_the_first(first: Tensor, weights: Tensor, taps: int) -> tuple[Tensor, Tensor]:
    """Leaves out the taps that weigh nothing before the first one that does, or after the last."""
    skipped = (weights != 0).int().argmax(dim=2)
    index = skipped.unsqueeze(2) + torch.arange(taps, device=weights.device)
    # further ones than there were weigh nothing
    more = F.pad(weights, (0, taps))
    return first + skipped, more.gather(2, index)


def _rounded(taps: float) -> int:
    """A number of taps that is as large or larger by less than a quarter."""
    number = math.ceil(taps)
    step = max(2 ** math.ceil(math.log2(number)) // 8, 1)
    return -(-number // step) * step
