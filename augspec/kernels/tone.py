"""Tone kernels with torchvision v2's pixels, one set of parameters per sample.

Images are `(B, C, H, W)` in [0, 1] with C of 1 or 3, parameters `(B,)`. What lies outside [0, 1],
as after a bicubic crop, is treated as each function says.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from augspec.kernels.rows import per_sample, where_rows

_LEVELS = 256
"""The levels that `equalize` counts: torchvision equalises float images as 8-bit images."""


def gamma(x: Tensor, exponent: Tensor) -> Tensor:
    """Raise each pixel to the power `exponent` `(B,)` > 0; an exponent of 1 changes nothing.

    Both have a gradient. At a black pixel, where the derivative of `x ** g` is infinite for g < 1,
    it is 0. Pixels below 0, of which torchvision makes NaN, become 0; a pixel below the smallest
    normal number of its dtype (1e-38) counts as 0, which keeps all derivatives finite.
    """
    tiny = torch.finfo(x.dtype).tiny
    power = x.clamp_min(tiny).pow(per_sample(exponent, x))
    raised = torch.where(x > tiny, power, 0.0)
    return where_rows(exponent == 1.0, x, raised)


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed image by `factor` `(B,)` >= 0 and clamp to [0, 1].

    The smoothed image is the mean of the 3x3 pixels around, the middle one counted five times. The
    outermost pixels are only clamped, and an image of fewer than 3 pixels a side is returned as it
    is. A factor of 1 leaves even pixels outside [0, 1] as they are. Both have a gradient.
    """
    if min(x.shape[-2:]) < 3:
        return x
    middle = x[..., 1:-1, 1:-1]
    # (sum of all nine + 4 middle) / 13 - middle
    away = (F.avg_pool2d(x, 3, stride=1) - middle) * (9.0 / 13.0)
    blended = x + F.pad(away * per_sample(1.0 - factor, x), (1, 1, 1, 1))
    return where_rows(factor == 1.0, blended, blended.clamp(0.0, 1.0))


def posterize(x: Tensor, bits: Tensor) -> Tensor:
    """Round down to `2 ** bits` levels, `bits` `(B,)` from 0 (black) to 8; no gradient.

    The levels are multiples of `2 ** -bits`, so white becomes `1 - 2 ** -bits`. A number of bits
    that is not whole is rounded.
    """
    whole = bits.detach().round().long().clamp(0, 8)
    # a shift, since a GPU's power function need not be exact
    levels = per_sample(torch.bitwise_left_shift(torch.ones_like(whole), whole), x)
    return (x * levels).floor().clamp_min(0.0).minimum(levels - 1.0) / levels


def equalize(x: Tensor) -> Tensor:
    """Equalise the histogram of each channel as PIL does, on 256 levels; no gradient.

    A channel that PIL would leave alone (too few pixels below its brightest level) still comes out
    on the 256 levels, as from torchvision. Pixels outside [0, 1] are clamped.
    """
    # torchvision's rule from float to 8 bits: nearly equal shares of [0, 1], and 1.0 is level 255
    level = (x.detach() * (_LEVELS - 1e-3)).long().clamp(0, _LEVELS - 1).flatten(2)
    one = torch.ones((), dtype=torch.int32, device=x.device)
    count = torch.zeros(*level.shape[:2], _LEVELS, dtype=torch.int32, device=x.device)
    count = count.scatter_add(-1, level, one.expand_as(level))
    brightest = count.gather(-1, level.amax(dim=-1, keepdim=True))
    step = (level.shape[-1] - brightest) // (_LEVELS - 1)
    below = count.cumsum(dim=-1) - count
    spread = ((below + step // 2) // step.clamp_min(1)).clamp_max(_LEVELS - 1)
    table = torch.where(step > 0, spread, torch.arange(_LEVELS, device=x.device))
    table = table.to(x.dtype) * (1.0 / (_LEVELS - 1))
    return table.gather(-1, level).view_as(x)


def autocontrast(x: Tensor) -> Tensor:
    """Stretch each channel of each image to [0, 1]; a constant channel is only clamped.

    Differentiable: pixels that tie for the darkest or the brightest share its gradient.
    """
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    constant = low == high
    span = torch.where(constant, 1.0, high - low)
    return ((x - torch.where(constant, 0.0, low)) / span).clamp(0.0, 1.0)


def invert(x: Tensor) -> Tensor:
    """Return `1 - x`."""
    return 1.0 - x
