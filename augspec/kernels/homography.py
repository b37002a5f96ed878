"""The projective map that takes the corners of an image to four given points."""

import torch
from torch import Tensor


def from_corners(corners: Tensor) -> Tensor:
    """The homographies that take the image's corners to `corners`.

    The square's map to a quadrilateral in closed form (Heckbert, "Fundamentals of texture mapping
    and image warping", 1989, section 2.2.3), multiplied by its common denominator: no system of
    equations is solved, and nothing is divided, so that no quadrilateral makes it infinite.

    Args:
        corners: `(B, 4, 2)` float64: where the top left, top right, bottom right and bottom left
            corners go, as (x, y) in [0, 1] of the image's sides.

    Returns:
        `(B, 3, 3)`, in normalised coordinates (-1 and 1 are the outer edges), up to a factor; the
        identity, exactly, where the corners stay.
    """
    p0, p1, p2, p3 = corners.unbind(1)
    right, down, skew = p1 - p2, p3 - p2, p0 - p1 + p2 - p3
    g, h, one = _cross(down, skew), _cross(skew, right), _cross(down, right)
    # columns of the map from (u, v, 1) in the unit square; the last row is (g, h, one)
    across = (p1 - p0) * one + p1 * g
    along = (p3 - p0) * one + p3 * h
    start = p0 * one
    unit = torch.stack(
        [torch.cat(column, dim=-1) for column in ((across, g), (along, h), (start, one))], dim=-1
    )
    # x = 2 u - 1 on the way out, u = (x + 1) / 2 on the way in
    top, bottom = unit[:, :2], unit[:, 2:]
    out = torch.cat([2 * top - bottom, bottom], dim=1)
    first, second, third = out.unbind(-1)
    return torch.stack([first / 2, second / 2, third + (first + second) / 2], dim=-1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """The cross product of vectors in the plane, `(B, 1)`."""
    return a[:, :1] * b[:, 1:] - b[:, :1] * a[:, 1:]
