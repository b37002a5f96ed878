"""Shift the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.language.values import Uniform
from augspec.ops.affinity import Fraction, affinity, gated_range
from augspec.ops.contract import Parameter, Parameters, Size
from augspec.ops.geometry import WarpOp

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
        return (
            Parameter("x", "width", 0.0, *x, differentiable=smooth),
            Parameter("y", "height", 0.0, *y, differentiable=smooth),
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

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        return affinity(size, translate_x=params["x"], translate_y=params["y"])
