"""The group of projective maps of the plane, batched: compose, undo, compare.

An element is `(..., 3, 3)` float64, the map from points (x, y, 1) of one image to points of another
in normalised coordinates: x to the right, y down, -1 and 1 the outer edges of the image. A map
leaves a factor open. Every function here returns the one element with that factor removed
(`normalized`), so that equal maps are equal tensors up to rounding, and the laws hold as they
stand:

1. `compose(c, compose(b, a)) == compose(compose(c, b), a)`, and the identity matrix is neutral;
2. `compose(inverse(a), a)` is the identity;
3. `relative(a, c) == compose(relative(b, c), relative(a, b))`, and `compose(relative(a, b), a)`
   is `b`.

Elements whose last row is (0, 0, 1) are affine, and stay so exactly, to the last bit. All of it is
differentiable, and nothing makes the host wait. An element must have an inverse: a singular matrix
gives infinities or NaN.
"""

import torch
from torch import Tensor

from augspec.kernels.warp import adjugate

HORIZON = 1e-6
"""A horizon this close to the image's centre, in half sides, goes through it."""


def compose(second: Tensor, first: Tensor) -> Tensor:
    """The map that does `first`, and then `second`."""
    return normalized(second @ first)


def inverse(element: Tensor) -> Tensor:
    """The map that undoes `element`.

    It is the adjugate, which is the inverse up to a factor: `torch.linalg.inv` would make the host
    wait to see whether there is one.
    """
    return normalized(adjugate(element))


def relative(a: Tensor, b: Tensor) -> Tensor:
    """The map `b a^-1` from what `a` made of an image to what `b` made of it.

    It is the identity to the last bit where both are; the gradient passes all the same.
    """
    found = compose(b, inverse(a))
    same = (a == b).flatten(-2).all(dim=-1)[..., None, None]
    return found + torch.where(same, identity(found) - found, 0.0).detach()


def normalized(matrix: Tensor) -> Tensor:
    """The element without the factor that a projective map leaves open: entry [2, 2] is 1.

    That entry is the third coordinate of the image of the centre. Where the map sends the centre to
    infinity, or nearly so (a horizon closer to it than `HORIZON`), there is no such representative,
    and the largest entry is 1 instead. An affine element is never such a case.
    """
    corner = matrix[..., 2:, 2:]
    entries = matrix.flatten(-2)
    largest = entries.gather(-1, entries.abs().argmax(dim=-1, keepdim=True)).unsqueeze(-1)
    return matrix / torch.where(at_horizon(matrix)[..., None, None], largest, corner)


def at_horizon(matrix: Tensor) -> Tensor:
    """Which elements send the centre of the image to infinity, or nearly so: `(...)` bool."""
    across, down, corner = matrix[..., 2, :].unbind(-1)
    return corner.abs() < HORIZON * torch.maximum(across.abs(), down.abs())


def identity(like: Tensor) -> Tensor:
    """The element that leaves every point where it is: `(3, 3)`, where and of what `like` is."""
    return torch.eye(3, dtype=like.dtype, device=like.device)


def transform(element: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Where the elements `(B, 3, 3)` send points.

    Args:
        element: the maps.
        x: the points' first coordinates, `(n,)`, or `(B, n)` for points of each map's own.
        y: their second coordinates, of the same shape.

    Returns:
        Both coordinates, `(B, n)` each; infinite, or NaN, on the horizon.
    """
    # a sum of terms for each coordinate: a matrix product may run in low precision
    rows = element.permute(1, 2, 0).unsqueeze(-1).unbind(0)
    u, v, w = (row[0] * x + (row[1] * y + row[2]) for row in rows)
    return u / w, v / w
