"""Box, median and motion blur, edges mirrored; images are `(B, C, H, W)`, parameters `(B,)`."""

import math

import torch
from kornia import filters
from torch import Tensor

from augspec.kernels.blur import check_reach


def box_blur(x: Tensor, kernel: int) -> Tensor:
    """Average over `kernel` x `kernel` pixels, an odd number, as `kornia.filters.box_blur`.

    Raises:
        ValueError: the kernel reaches past the mirrored edge.
    """
    check_reach((x.shape[-2], x.shape[-1]), kernel)
    with torch.autocast(x.device.type, enabled=False):
        return filters.box_blur(x, kernel, border_type="reflect")


def median_blur(x: Tensor, kernel: int) -> Tensor:
    """The median of `kernel` x `kernel` pixels, an odd number, channel by channel.

    As `kornia.filters.median_blur` with mirrored edges. The gradient goes to the pixel chosen.

    Raises:
        ValueError: the kernel reaches past the mirrored edge.
    """
    check_reach((x.shape[-2], x.shape[-1]), kernel)
    with torch.autocast(x.device.type, enabled=False):
        return filters.median_blur(x, kernel, border_type="reflect")


def motion_blur(x: Tensor, angle: Tensor, direction: Tensor, kernel: int) -> Tensor:
    """Smear each sample along a line, as `kornia.filters.motion_blur` with `mode="bilinear"`.

    Args:
        x: `(B, C, H, W)`.
        angle: `(B,)` turns of the line from the x axis, anti-clockwise as displayed.
        direction: `(B,)`, clamped to [-1, 1].
        kernel: side of the square kernel in pixels, an odd number from 3: the length of the line.

    Raises:
        ValueError: the kernel reaches past the mirrored edge.
    """
    check_reach((x.shape[-2], x.shape[-1]), kernel)
    weights = motion_kernel(angle, direction, kernel).to(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        return filters.filter2d(x, weights, border_type="reflect")


def motion_kernel(angle: Tensor, direction: Tensor, kernel: int) -> Tensor:
    """The weights `(B, kernel, kernel)` of `motion_blur`, which correlate with the image.

    Kornia resamples a horizontal line of weights that fall evenly from (1 + direction) / 2 at its
    left end to (1 - direction) / 2 at its right end. On such a line, bilinear sampling needs no
    image: the weight at a point is what the line has at its x, less the distance of its y. Kornia's
    default, the nearest sample, gives the same blur for many angles, and reads them on the host.
    """
    reach = kernel // 2
    offset = torch.arange(-reach, reach + 1, dtype=angle.dtype, device=angle.device)
    down, across = offset[:, None], offset[None, :]
    cos, sin = (f(2 * math.pi * angle)[:, None, None] for f in (torch.cos, torch.sin))
    # the point of the unturned line's grid from which each weight comes
    column, row = cos * across - sin * down, sin * across + cos * down
    near = (1 - (column[..., None] - offset).abs()).clamp_min(0.0)  # to each tap of the line
    lean = direction.clamp(-1.0, 1.0)
    taps = (1 - lean[:, None] * (offset / reach)) / 2
    line = (near * taps[:, None, None, :]).sum(dim=-1)
    weights = line * (1 - row.abs()).clamp_min(0.0)
    return weights / weights.sum(dim=(1, 2), keepdim=True)
