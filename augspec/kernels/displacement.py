"""Move every pixel by a displacement of its own: elastic fields and thin plate splines."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from augspec.kernels.blur import gaussian_blur
from augspec.kernels.constants import constant
from augspec.kernels.warp import resample

# Upper left, lower left, upper right, lower right, middle: Kornia's control points, as (x, y).
_CONTROL = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0), (0.0, 0.0))
CONTROL_POINTS = len(_CONTROL)


def elastic_displacement(noise: Tensor, alpha: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Smooth a field of noise and scale it, as torchvision's `ElasticTransform` does.

    That is the elastic deformation of Simard, Steinkraus and Platt (ICDAR 2003).

    Args:
        noise: `(B, 2, H, W)` in [-1, 1], for x and y.
        alpha: `(B,)` strength in pixels: a smoothed noise of 1 moves a pixel by alpha / 2.
        sigma: `(B,)` standard deviation in pixels of the Gaussian that smooths.
        kernel: side of its kernel in pixels, an odd number; at most what an image of this size can
            mirror at its edges is used.

    Returns:
        `(B, H, W, 2)`, (x, y) in normalised coordinates (2 is the image's side), in the dtype of
        `noise`.
    """
    height, width = noise.shape[-2:]
    smooth = gaussian_blur(noise, sigma, min(kernel, 2 * min(height, width) - 1))
    x, y = (smooth * alpha.to(noise.dtype).reshape(-1, 1, 1, 1)).unbind(1)
    return torch.stack([x / width, y / height], dim=-1)


def displace(
    x: Tensor, displacement: Tensor, interpolation: Literal["bilinear", "nearest"], fill: float
) -> Tensor:
    """Show at each pixel what the image has at its displaced place, as torchvision's `elastic`.

    Args:
        x: `(B, C, H, W)`.
        displacement: `(B, H, W, 2)`, (x, y) in normalised coordinates.
        interpolation: how pixels in between are found.
        fill: intensity of what lies outside the image.

    Returns:
        `(B, C, H, W)`.
    """
    grid = pixel_grid(x, x.dtype) + displacement.to(x.dtype)
    return resample(x, grid, interpolation, fill)


def thin_plate_spline(x: Tensor, dx: Tensor, dy: Tensor, fill: float = 0.0) -> Tensor:
    """Warp each image by the thin plate spline that moves five control points.

    The spline is that of `kornia.geometry.transform.get_tps_transform(moved, points)`, with its
    kernel centres at the points that are not moved, and the image is sampled as by Kornia's
    `warp_image_tps`. Written anew because Kornia's solver makes the host wait for the device.

    Args:
        x: `(B, C, H, W)`.
        dx: `(B, 5)`, how far the upper left, lower left, upper right and lower right corner and the
            middle move to the right, in half widths.
        dy: `(B, 5)`, how far they move down, in half heights.
        fill: intensity of what lies outside the image.

    Returns:
        `(B, C, H, W)`.
    """
    points = constant(_CONTROL, dx.dtype, dx.device)
    weights = spline_weights(points + torch.stack([dx, dy], dim=-1), points)
    terms = _spline_terms(pixel_grid(x, dx.dtype).flatten(0, 1).unsqueeze(0), points)
    # all samples share the terms: one product, and no copy of them for each sample
    source = torch.einsum("mk,bkd->bmd", terms[0], weights)
    grid = source.unflatten(1, x.shape[-2:]).to(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        return F.grid_sample(x - fill, grid, mode="bilinear", align_corners=False) + fill


def spline_weights(moved: Tensor, points: Tensor) -> Tensor:
    """Solve for the spline that maps moved points to the points `(N, 2)` themselves.

    Args:
        moved: `(B, N, 2)`, as (x, y), not all on one line.
        points: `(N, 2)`, which are the kernel's centres too.

    Returns:
        `(B, N + 3, 2)`: N kernel weights, then those of 1, x and y.
    """
    terms = _spline_terms(moved, points)
    affine = terms[:, :, len(points) :]
    side = torch.cat([affine.mT, affine.new_zeros(len(moved), 3, 3)], dim=2)
    values = torch.cat([points, points.new_zeros(3, 2)]).expand(len(moved), -1, -1)
    # without the check for singular matrices, which would make the host wait
    return torch.linalg.solve_ex(torch.cat([terms, side], dim=1), values).result


def _spline_terms(at: Tensor, centres: Tensor) -> Tensor:
    """The terms of a spline at points `(B, M, 2)`: r² log r to each of N centres `(N, 2)`, 1, x, y.

    Returns:
        `(B, M, N + 3)`.
    """
    squared = (at.unsqueeze(2) - centres).square().sum(dim=-1)
    positive = squared > 0
    logarithm = torch.where(positive, squared, 1.0).log()  # 0, with a finite derivative, at r = 0
    return torch.cat([0.5 * squared * logarithm, torch.ones_like(at[..., :1]), at], dim=-1)


def pixel_grid(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The centres of the pixels of `(..., H, W)`: `(H, W, 2)`, (x, y) in normalised coordinates."""
    height, width = x.shape[-2:]
    rows = (2 * torch.arange(height, dtype=dtype, device=x.device) + 1) / height - 1
    columns = (2 * torch.arange(width, dtype=dtype, device=x.device) + 1) / width - 1
    shape = height, width
    return torch.stack([columns.expand(shape), rows.unsqueeze(1).expand(shape)], dim=-1)
