"""Shift the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.language.values import Uniform, Value
from augspec.ops.affinity import Fraction, affinity, gated_range
from augspec.ops.contract import Op, Parameters, Rule, Size
from augspec.ops.geometry import WarpOp
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor


class Translate(WarpOp):
    """Shift the image, as `torchvision.transforms.v2.RandomAffine` with `translate` alone.

    torchvision rounds the drawn shift to whole pixels; here it stays as it is drawn.
    """

    op: Literal["translate"] = "translate"

    x: Fraction = Uniform(-0.1, 0.1)
    """Shift to the right as a fraction of the width, in [-1, 1]."""

    y: Fraction = Uniform(-0.1, 0.1)
    """Shift downwards as a fraction of the height, in [-1, 1]."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"x": [-0.5, 0.5], "y": 0, "p": 0.5, "fill": 0.5},
        {"x": {"choice": [-1, 0, 0.5, 1]}, "y": {"choice": [0, 0.25, -1]}, "fill": 1},
        {"interpolation": "nearest"},
    )
    draws: ClassVar[int] = 2
    not_invertible: ClassVar[str | None] = "what leaves the image is gone"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The shift relative to the image's sides."""
        smooth = self.interpolation == "bilinear"
        x = gated_range(self.x.low, self.x.high, 0.0, self.p)
        y = gated_range(self.y.low, self.y.high, 0.0, self.p)
        if self.p > 0 and max(-self.x.low, self.x.high, -self.y.low, self.y.high) >= 1:
            x, y = (x[0], 1.0), (min(y[0], 0.0), max(y[1], 0.0))  # see `canonical`
        away = any(value.can_be(side) for value in (self.x, self.y) for side in (-1, 1))

        def drawn(value: Value) -> Value | None:
            return None if away else value  # where all is gone, neither shift is what was drawn

        return (
            Parameter("x", "width", 0.0, *x, differentiable=smooth, value=drawn(self.x)),
            Parameter("y", "height", 0.0, *y, differentiable=smooth, value=drawn(self.y)),
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"x": self.x.sample(u[:, 0]), "y": self.y.sample(u[:, 1])}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """A whole side, either way, leaves nothing but the fill: one form stands for all of it."""
        import torch

        x, y = params["x"], params["y"]
        gone = (x.abs() >= 1) | (y.abs() >= 1)
        return {"x": torch.where(gone, 1.0, x), "y": torch.where(gone, 0.0, y)}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return (params["x"] != 0) | (params["y"] != 0)

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`; a shift along the other axis, if nothing blends with the fill.

        By whole pixels (`nearest`) also one along the same axis the same way: the other way, what
        one pushes out of the image the other does not bring back.
        """
        if not isinstance(other, Translate):
            return super().commutes(other)
        if (self.interpolation, self.fill) != (other.interpolation, other.fill):
            return False
        nearest = self.interpolation == "nearest"
        if not nearest and self.fill != 0:
            return False

        def apart(own: Parameters, its: Parameters) -> Tensor:
            x, y = own["x"] * its["x"], own["y"] * its["y"]
            return (x >= 0) & (y >= 0) if nearest else (x == 0) & (y == 0)

        return apart

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        return affinity(size, translate_x=params["x"], translate_y=params["y"])
