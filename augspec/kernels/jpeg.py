"""JPEG without its file: the loss of encoding and decoding, differentiable, one quality per sample.

The steps and tables are those of libjpeg (ITU-T T.81, annex K; chroma at half the resolution), with
one softening: coefficients are rounded by r + (c - r) ** 3, r being the nearest whole number, which
has a gradient where rounding has none (Shin and Song, "JPEG-resistant adversarial images", 2017;
Reich et al., "Differentiable JPEG: the devil is in the details", WACV 2024, and Kornia after them).
Kornia's own function reads the qualities on the host; its tables and its chroma are further from
libjpeg's.
"""

import math

import torch
import torch.nn.functional as F
from kornia.color import rgb_to_ycbcr, ycbcr_to_rgb
from torch import Tensor

from augspec.kernels.constants import constant

_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_DCT = tuple(
    tuple(
        math.sqrt((2 if k else 1) / 8) * math.cos((2 * n + 1) * k * math.pi / 16) for n in range(8)
    )
    for k in range(8)
)
_TILE = 16  # chroma blocks of 8 x 8 cover 16 x 16 pixels


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """Lose what a JPEG file of this quality loses.

    Differentiable in the image and in the quality: between two whole qualities, the steps to which
    coefficients are rounded are in between too.

    Args:
        x: `(B, C, H, W)` in [0, 1]; one channel is coded as a grayscale file.
        quality: `(B,)` in [1, 100].

    Returns:
        `(B, C, H, W)` in [0, 1].
    """
    height, width = x.shape[-2:]
    dtype = torch.promote_types(x.dtype, torch.float32)  # pixels of 0 to 255 want more than 8 bits
    levels = F.pad(x.to(dtype), (0, -width % _TILE, 0, -height % _TILE), mode="replicate")
    with torch.autocast(x.device.type, enabled=False):
        if x.shape[1] == 1:
            coded = _code(levels - 0.5, _LUMA, quality) + 0.5
        else:
            luma, chroma = rgb_to_ycbcr(levels).split([1, 2], dim=1)
            luma = _code(luma - 0.5, _LUMA, quality) + 0.5
            chroma = _code(F.avg_pool2d(chroma - 0.5, 2), _CHROMA, quality)
            chroma = F.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)
            coded = ycbcr_to_rgb(torch.cat([luma, chroma + 0.5], dim=1))
    return coded[..., :height, :width].clamp(0.0, 1.0).to(x.dtype)


def _code(plane: Tensor, table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Round the cosine coefficients of each 8 x 8 block of planes `(B, C, H, W)` around zero."""
    cosines = constant(_DCT, plane.dtype, plane.device)
    steps = quantisation_steps(table, quality)[:, None, None, :, None, :].to(plane.dtype)
    blocks = 255.0 * plane.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8))  # B C h 8 w 8
    rounded = steps * _soft_round(_transform(blocks, cosines) / steps)
    return _transform(rounded, cosines.T).flatten(-2).flatten(-3, -2) / 255.0


def _transform(blocks: Tensor, matrix: Tensor) -> Tensor:
    """`M block M^T` for every block of `(B, C, h, 8, w, 8)`."""
    rows = torch.einsum("up,bchpwq->bchuwq", matrix, blocks)
    return torch.einsum("vq,bchuwq->bchuwv", matrix, rows)


def _soft_round(values: Tensor) -> Tensor:
    nearest = values.detach().round()
    return nearest + (values - nearest) ** 3


def quantisation_steps(table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """The steps `(B, 8, 8)` to which libjpeg rounds at each quality `(B,)`, float64.

    Linear between whole qualities, where they are exact.
    """
    bounded = quality.double().clamp(1.0, 100.0)
    below = bounded.detach().floor()
    between = (bounded - below)[:, None, None]
    return torch.lerp(_whole(table, below), _whole(table, (below + 1).clamp_max(100.0)), between)


def _whole(table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    # exact: these are whole numbers in float64
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    base = constant(table, torch.float64, quality.device)
    return ((base * percent[:, None, None] + 50) / 100).floor().clamp(1, 255)
