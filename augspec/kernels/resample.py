"""Crop and resize by separable weight matrices, one box per sample, with torchvision's pixels.

A box is given by its edges in source pixels: `top=3, bottom=27` holds the pixels 3 to 26. Integer
boxes reproduce torchvision v2's crop followed by resize on float images; fractional ones lie
between them, so that the result is differentiable in the box.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from augspec.kernels.taps import Interpolation as Interpolation
from augspec.kernels.taps import box_taps


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
    pixels = torch.arange(out_size, device=low.device)
    first, weights = box_taps(low, high, in_size, out_size, interpolation, antialias, pixels)
    index = first.unsqueeze(2) + torch.arange(weights.shape[2], device=low.device)
    # Taps outside the image lie outside the box: what they add at the border is zero.
    index = index.clamp(0, in_size - 1)
    return weights.new_zeros(low.shape[0], out_size, in_size).scatter_add(2, index, weights)


def center_crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop `(B, C, H, W)` around the centre, with zeros around images that are smaller.

    As torchvision's, which takes a second or more to import.
    """
    (height, width), (h, w) = x.shape[-2:], size
    top, left = center_start(height, h), center_start(width, w)
    return F.pad(x, (-left, left + w - width, -top, top + h - height))


def center_start(side: int, cut: int) -> int:
    """The first pixel that a central cut of a side shows, with torchvision's rounding."""
    return round((side - cut) / 2.0) if cut <= side else -((cut - side) // 2)


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
