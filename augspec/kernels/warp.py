"""Resample images through projective maps, one for each sample, with torchvision's fill."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

FAR = 4.0  # in normalised coordinates: nothing of an image, not even half a pixel, is out there
TIES = 2**14  # parts of a pixel to which `nearest` rounds a place before it picks a pixel


def warp(
    x: Tensor,
    matrix: Tensor,
    *,
    interpolation: Literal["nearest", "bilinear"],
    fill: float,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Move the pixels of each sample by its own map.

    Args:
        x: `(B, C, H, W)`.
        matrix: `(B, 3, 3)`, from points (x, y, 1) of the image to points of the result, up to a
            factor, in normalised coordinates: -1 and 1 are the image's outer edges. A point is
            divided by its third coordinate.
        interpolation: how pixels in between are found. With `nearest`, no gradient reaches the
            matrix.
        fill: intensity of what comes from outside the image.
        size: height and width of the result; those of `x` if None.

    Returns:
        `(B, C, *size)`.
    """
    height, width = x.shape[-2:]
    dtype = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        # a homography's inverse needs no division by the determinant, and `torch.linalg.inv`
        # would make the host wait to see whether it is zero
        u, v = sources(adjugate(matrix.double()), *(size or (height, width)))
        if interpolation == "nearest":
            u, v = _pixel_centre(u, width), _pixel_centre(v, height)
        grid = torch.stack([u, v], dim=-1).to(dtype)
        return resample(x.to(dtype), grid, interpolation, fill).to(x.dtype)


def resample(
    x: Tensor, grid: Tensor, interpolation: Literal["nearest", "bilinear"], fill: float
) -> Tensor:
    """Show at each pixel what the image has at another place, with torchvision's fill.

    A mask of ones is resampled with the image, and `bilinear` blends with the fill by that mask (so
    that a border pixel is weighted with it twice, once by the zeros around the image), while
    `nearest` takes the fill where the mask is below one half.

    Args:
        x: `(B, C, H, W)`.
        grid: `(B, H, W, 2)`, (x, y) in normalised coordinates, in the dtype of `x`.
        interpolation: how pixels in between are found.
        fill: intensity of what comes from outside the image.

    Returns:
        `(B, C, H, W)`.
    """
    with torch.autocast(x.device.type, enabled=False):
        masked = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        moved = grid_sample(masked, grid, interpolation, "zeros", align_corners=False)
    view, mask = moved[:, :-1], moved[:, -1:]
    if interpolation == "nearest":
        return torch.where(mask < 0.5, fill, view)
    return (view - fill) * mask + fill


def adjugate(matrix: Tensor) -> Tensor:
    """The determinant times the inverse, of `(B, 3, 3)`; its rows are cross products."""
    first, second, third = matrix.unbind(-1)
    cross = torch.linalg.cross
    rows = [cross(second, third), cross(third, first), cross(first, second)]
    return torch.stack(rows, dim=-2)


def sources(inverse: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each pixel comes from: x and y, `(B, H, W)` float64 in normalised coordinates.

    Args:
        inverse: `(B, 3, 3)` float64, up to a factor, from points of the result to those of the
            image.
        height: of the result, in pixels.
        width: of the result.
    """
    x = _centres(width, inverse)
    y = _centres(height, inverse)[:, None]
    # (3, 3, B, 1, 1): a sum of broadcast terms, since a matrix product may run in low precision
    m = inverse.permute(1, 2, 0)[..., None, None].unbind(0)
    u, v, w = (row[0] * x + (row[1] * y + row[2]) for row in m)
    # a point on the horizon comes from nowhere; far away, not at infinity, derivatives are finite
    w = torch.where(w.abs() < 1e-12, 1e-12, w)
    return (u / w).clamp(-FAR, FAR), (v / w).clamp(-FAR, FAR)


def _centres(count: int, like: Tensor) -> Tensor:
    """The centres of `count` pixels in normalised coordinates."""
    index = torch.arange(count, dtype=like.dtype, device=like.device)
    return (2 * index + 1) / count - 1


def _pixel_centre(place: Tensor, count: int) -> Tensor:
    """The centre of the pixel that holds each place, along an axis of `count` pixels.

    Places on the border of two pixels are common (a half turn of an image with an odd side, a
    shift by half a pixel); rounding them first keeps the last bits of a float32 code from deciding.
    """
    pixel = ((place + 1) * (count / 2) * TIES).round() / TIES
    return (2 * pixel.floor() + 1) / count - 1
