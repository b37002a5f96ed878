"""A code for every projective map: its mirror, turn, stretch and shift, one after the other.

An affine element is `T P R F^r`: first the mirror F (x to -x) if the reflection bit r says so, then
the rotation R, the stretch P (symmetric, positive definite) and the shift T. This is the polar
decomposition, which every invertible matrix has exactly once. Its code is the logarithm of each
factor, so the identity is the zero code: the bit; (sin, 1 - cos) of the turn, clockwise as seen,
which is free of the jump that an angle has; the entries xx, yy and xy of log P, logarithms of
factors along the axes of the outgoing image and across; the shift in half sides of that image.

Unlike the logarithm of the group (`augspec.kernels.lie`), it exists for every map, and is smooth
but where the determinant changes its sign. The price: twice the code is not the map done twice.

A projective element has the map `x / (1 + h x)` of a horizon h before the affine one: two more
columns. An element that sends the image's centre to infinity, exactly or nearly so (see
`at_horizon`), has none: its horizon is moved off the centre by `HORIZON` half sides, which moves
its entries by as much, relative to its last row. Differentiable, and nothing makes the host wait.
"""

import torch
from torch import Tensor

from augspec.kernels.group import HORIZON, at_horizon, normalized
from augspec.kernels.lie import exp_factors, join, log_factor, unmirrored

COLUMNS = (
    *("reflection", "sin", "versin", "stretch_x", "stretch_y", "stretch_xy"),
    *("shift_x", "shift_y", "horizon_x", "horizon_y"),
)
"""What the columns are; those of affine elements are all but the last two."""

AFFINE = 8
"""How many columns an affine element has."""


def polar_code(element: Tensor) -> Tensor:
    """The codes `(B, 10)` float64 of projective elements `(B, 3, 3)`.

    Of an affine element, the last two columns are zero.
    """
    element = element.double()
    last = element[:, 2]
    least = HORIZON * torch.maximum(last[:, 0].abs(), last[:, 1].abs())
    aside = torch.where(last[:, 2] < 0, -least, least)
    corner = torch.where(at_horizon(element), aside, last[:, 2])
    element = element / corner[:, None, None]
    horizon, shift = element[:, 2, :2], element[:, :2, 2]
    affine = element[:, :2, :2] - shift.unsqueeze(2) * horizon.unsqueeze(1)
    linear, mirrored = unmirrored(affine)
    a, b, c, d = linear.flatten(-2).unbind(-1)
    det = a * d - b * c
    # R is the rotation by the angle of (a + d, c - b), and P = (A A^T + det I) / norm
    norm = ((a + d).square() + (c - b).square()).sqrt()
    cosine, sine = (a + d) / norm, (c - b) / norm
    # 1 - cos, without the cancellation
    versin = torch.where(cosine > 0, sine.square() / (1 + cosine.clamp_min(0.0)), 1 - cosine)
    xx, yy = (a * a + b * b + det) / norm, (c * c + d * d + det) / norm
    xy = (a * c + b * d) / norm
    mean, half = (xx + yy) / 2, (xx - yy) / 2
    factor = log_factor(mean, half.square() + xy.square(), det)
    size = det.log() / 2
    columns = [mirrored.to(a), sine, versin]
    columns += [size + factor * half, size - factor * half, factor * xy]
    return torch.cat([torch.stack(columns, dim=-1), shift, horizon], dim=-1)


def polar_element(code: Tensor) -> Tensor:
    """The elements `(B, 3, 3)` of codes `(B, 8)` or `(B, 10)`, normalised.

    The bit is read at one half, and the turn by its direction alone, so that every code is one of
    some map.
    """
    code = code.double()
    reflection, sine, versin, stretch_x, stretch_y, both, x, y = code[:, :AFFINE].unbind(-1)
    angle = torch.atan2(sine, 1 - versin)
    cosine, sine = angle.cos(), angle.sin()
    size, half = (stretch_x + stretch_y) / 2, (stretch_x - stretch_y) / 2
    growth, (even, odd) = size.exp(), exp_factors(half.square() + both.square())
    xx, yy, xy = growth * (even + odd * half), growth * (even - odd * half), growth * odd * both
    first = xx * cosine + xy * sine, xy * cosine - xx * sine
    second = xy * cosine + yy * sine, yy * cosine - xy * sine
    affine = join((*first, *second), x, y, reflection > 0.5)
    if code.shape[1] == AFFINE:
        return affine
    # times the map whose last row is (horizon, 1)
    horizon = code[:, AFFINE:]
    tilted = affine[:, :, :2] + affine[:, :, 2:] * horizon.unsqueeze(1)
    return normalized(torch.cat([tilted, affine[:, :, 2:]], dim=-1))
