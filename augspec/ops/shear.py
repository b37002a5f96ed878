"""Slant the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator

from augspec.encoding.codecs import Linear
from augspec.language.values import Constant, Uniform, Value
from augspec.ops.affinity import (
    ShearDegrees,
    affinity,
    below_90,
    sample_tangent,
    tangent,
    tangent_range,
)
from augspec.ops.contract import Parameters, Size
from augspec.ops.geometry import WarpOp
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor


class Shear(WarpOp):
    """Slant the image, as `torchvision.transforms.v2.RandomAffine` with `shear` alone."""

    op: Literal["shear"] = "shear"

    x: ShearDegrees = Uniform(-10.0, 10.0)
    """Angle in degrees, in (-90, 90), by which vertical lines slant: the bottom to the left."""

    y: ShearDegrees = Constant(0.0)
    """Angle in degrees, in (-90, 90), by which horizontal lines slant: the right side upwards."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"x": [-40, 40], "y": [-20, 20], "p": 0.5, "fill": 0.5},
        {"x": 0, "y": {"choice": [-45, 30]}},
        {"x": [5, 20], "interpolation": "nearest"},
    )
    draws: ClassVar[int] = 2
    not_invertible: ClassVar[str | None] = "corners leave the image, and resampling blurs"

    _bound = field_validator("x", "y")(below_90)

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The tangents of the angles, which are what a pixel moves by."""
        smooth = self.interpolation == "bilinear"

        def slope(name: str, value: Value) -> Parameter:
            low, high = tangent_range(value, self.p)
            return Parameter(name, "tangent", 0.0, low, high, Linear(), smooth, value, tangent)

        return slope("x", self.x), slope("y", self.y)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"x": sample_tangent(self.x, u[:, 0]), "y": sample_tangent(self.y, u[:, 1])}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return (params["x"] != 0) | (params["y"] != 0)

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        return affinity(size, shear_x=params["x"], shear_y=params["y"])
