"""Turn the image about its centre."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.encoding.codecs import Angle
from augspec.language.values import Uniform
from augspec.ops.affinity import Degrees, affinity, turn_range, turns
from augspec.ops.contract import Parameters, Size
from augspec.ops.geometry import WarpOp
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor


class Rotate(WarpOp):
    """Turn the image about its centre, as `torchvision.transforms.v2.RandomRotation`.

    The image keeps its size. Unlike torchvision's, the default interpolation is bilinear.
    """

    op: Literal["rotate"] = "rotate"

    degrees: Degrees = Uniform(-30.0, 30.0)
    """Angle in degrees, counter-clockwise, in [-180, 180]."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"degrees": [-180, 180], "p": 0.5, "fill": 0.5},
        {"degrees": {"choice": [-180, -90, 90, 180]}},
        {"degrees": [-15, 15], "interpolation": "nearest"},
    )
    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "corners leave the image, and resampling blurs"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The angle in turns, counter-clockwise."""
        low, high = turn_range(self.degrees, self.p)
        smooth = self.interpolation == "bilinear"
        return (Parameter("angle", "turn", 0.0, low, high, Angle(), smooth, self.degrees, turns),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"angle": Angle().snap(self.degrees.sample(u[:, 0]) / 360)}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["angle"] != 0

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        return affinity(size, angle=-params["angle"])
