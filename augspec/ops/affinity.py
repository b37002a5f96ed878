"""What the ops on angles, shears, scales and shifts share: their matrix, bounds and ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from augspec.language.document import fault
from augspec.language.values import Value
from augspec.language.within import Within
from augspec.ops.contract import Size
from augspec.ops.geometry import affine_matrix
from augspec.ops.parameter import gated_range

if TYPE_CHECKING:
    from torch import Tensor

Degrees = Annotated[Value, Within(-180.0, 180.0)]
Fraction = Annotated[Value, Within(-1.0, 1.0)]
Factor = Annotated[Value, Within(0.0, open_low=True)]
ShearDegrees = Annotated[Value, Within(-90.0, 90.0, open_low=True)]
"""A field of this type also needs `below_90` as its validator."""


def below_90(value: Value) -> Value:
    """Refuses a shear by a right angle, whose tangent is infinite."""
    if value.high >= 90:
        raise fault(f"must lie in (-90, 90), got {value.document()!r}")
    return value


def tangent_range(value: Value, p: float) -> tuple[float, float]:
    """The range of the tangent of an angle that is drawn in degrees."""
    low, high = (math.tan(math.radians(degrees)) for degrees in (value.low, value.high))
    return gated_range(low, high, 0.0, p)


def turn_range(value: Value, p: float) -> tuple[float, float]:
    """The range in turns of an angle that is drawn in degrees."""
    return gated_range(value.low / 360, value.high / 360, 0.0, p)


def turns(degrees: Tensor) -> Tensor:
    """Degrees in turns."""
    return degrees / 360


def tangent(degrees: Tensor) -> Tensor:
    """The tangent of an angle in degrees."""
    return (degrees * (math.pi / 180)).tan()


def sample_tangent(value: Value, u: Tensor) -> Tensor:
    """Draws an angle in degrees from uniforms `(B,)`, and gives its tangent."""
    return tangent(value.sample(u))


def affinity(size: Size, **parts: Tensor) -> Tensor:
    """The matrices of torchvision's `F.affine` about the centre, in normalised coordinates.

    In pixels, x to the right and y down, they are `T R(angle) S(scale) [1 0; -shear_y 1]
    [1 -shear_x; 0 1]`: shear along x first, the translation last.

    Args:
        size: height and width of the images.
        parts: `(B,)` float64 tensors, at least one; a part that is not given changes nothing.
            `angle` in turns, clockwise; `scale`, a factor; `shear_x` and `shear_y`, tangents;
            `translate_x` and `translate_y`, fractions of width and height.

    Returns:
        `(B, 3, 3)` float64.
    """
    import torch

    zero = torch.zeros_like(next(iter(parts.values())))
    angle = parts.get("angle", zero) * (2 * math.pi)
    scale = parts.get("scale", zero + 1)
    shear_x, shear_y = parts.get("shear_x", zero), parts.get("shear_y", zero)
    shift_x, shift_y = parts.get("translate_x", zero), parts.get("translate_y", zero)

    cos, sin = angle.cos(), angle.sin()
    a, c = cos + sin * shear_y, sin - cos * shear_y
    b, d = -a * shear_x - sin, -c * shear_x + cos
    height, width = size
    # an image spans 2 normalised units in each direction, whatever its sides in pixels
    b, c = b * (height / width), c * (width / height)
    return affine_matrix(scale * a, scale * b, 2 * shift_x, scale * c, scale * d, 2 * shift_y)
