"""Enlarge or shrink the image about its centre."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.encoding.codecs import Log
from augspec.language.values import Uniform
from augspec.ops.affinity import Factor, affinity, gated_range
from augspec.ops.contract import Parameters, Size
from augspec.ops.geometry import WarpOp
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor


class Scale(WarpOp):
    """Enlarge or shrink the image, as `torchvision.transforms.v2.RandomAffine` with `scale` alone.

    The image keeps its size: what outgrows it is cut off, and what is left free is filled.
    """

    op: Literal["scale"] = "scale"

    factor: Factor = Uniform(0.9, 1.1)
    """Factor on both sides, above 0; above 1 enlarges."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"factor": {"log_uniform": [0.5, 2]}, "p": 0.5, "fill": 0.5},
        {"factor": [1.2, 1.5], "interpolation": "nearest"},
    )
    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "what outgrows the image, or fine detail, is gone"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The factor."""
        low, high = gated_range(self.factor.low, self.factor.high, 1.0, self.p)
        smooth = self.interpolation == "bilinear"
        return (Parameter("factor", "factor", 1.0, low, high, Log(), smooth, self.factor),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"factor": self.factor.sample(u[:, 0])}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["factor"] != 1

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        return affinity(size, scale=params["factor"])
