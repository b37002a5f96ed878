"""Turn, scale, slant and shift the image at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator

from augspec.encoding.codecs import Angle, Linear, Log
from augspec.language.values import Constant, Uniform, Value
from augspec.ops.affinity import (
    Degrees,
    Factor,
    Fraction,
    ShearDegrees,
    affinity,
    below_90,
    gated_range,
    sample_tangent,
    tangent,
    tangent_range,
    turn_range,
    turns,
)
from augspec.ops.contract import Parameters, Size
from augspec.ops.geometry import WarpOp
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor

NAMES = ("angle", "translate_x", "translate_y", "scale", "shear_x", "shear_y")
IDENTITIES = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
Range = tuple[float, float]


class Affine(WarpOp):
    """Turn, scale, slant and shift the image, as `torchvision.transforms.v2.RandomAffine`.

    All about the centre and in one resampling: shear along x, then along y, scale, rotation and
    last the shift, which is that of `torchvision.transforms.v2.functional.affine`, signs included.
    torchvision rounds the drawn shift to whole pixels; here it stays as it is drawn.
    """

    op: Literal["affine"] = "affine"

    degrees: Degrees = Uniform(-10.0, 10.0)
    """Angle in degrees, in [-180, 180]; clockwise, as in torchvision's affine (`rotate` turns
    counter-clockwise, as torchvision's rotate)."""

    translate_x: Fraction = Constant(0.0)
    """Shift to the right as a fraction of the width, in [-1, 1]."""

    translate_y: Fraction = Constant(0.0)
    """Shift downwards as a fraction of the height, in [-1, 1]."""

    scale: Factor = Constant(1.0)
    """Factor on both sides, above 0; above 1 enlarges."""

    shear_x: ShearDegrees = Constant(0.0)
    """Angle in degrees, in (-90, 90), by which vertical lines slant: the bottom to the left."""

    shear_y: ShearDegrees = Constant(0.0)
    """Angle in degrees, in (-90, 90), by which horizontal lines slant: the right side upwards."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"degrees": [-180, 180], "translate_x": [-0.2, 0.2], "scale": [0.7, 1.4], "p": 0.5},
        {
            "degrees": [-20, 20],
            "translate_x": 0.1,
            "translate_y": [-0.3, 0.3],
            "scale": {"log_uniform": [0.8, 1.25]},
            "shear_x": [-20, 20],
            "shear_y": [-20, 20],
            "fill": 0.5,
        },
        {"degrees": 0, "shear_x": [-10, 10], "interpolation": "nearest"},
    )
    draws: ClassVar[int] = 6
    not_invertible: ClassVar[str | None] = "what leaves the image is gone, and resampling blurs"

    _bound = field_validator("shear_x", "shear_y")(below_90)

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The angle in turns (clockwise), the shift, the scale, and the tangents of the shears."""
        p, smooth = self.p, self.interpolation == "bilinear"
        rewritten = self._ambiguous or self._may_leave
        angle = turn_range(self.degrees, p)
        x = gated_range(self.translate_x.low, self.translate_x.high, 0.0, p)
        y = gated_range(self.translate_y.low, self.translate_y.high, 0.0, p)
        scale = gated_range(self.scale.low, self.scale.high, 1.0, p)
        shear_x, shear_y = tangent_range(self.shear_x, p), tangent_range(self.shear_y, p)
        if self._ambiguous and p > 0:
            angle, shear_x, shear_y = _folded(angle, shear_x, shear_y)  # see `canonical`

        def drawn(value: Value) -> Value | None:
            return None if rewritten else value  # the canonical form is not what was drawn

        def shift(value: Value) -> Value | None:
            return None if self._may_leave else value

        def slope(name: str, value: Value, bounds: Range) -> Parameter:
            return Parameter(name, "tangent", 0.0, *bounds, Linear(), smooth, drawn(value), tangent)

        return (
            Parameter("angle", "turn", 0.0, *angle, Angle(), smooth, drawn(self.degrees), turns),
            Parameter("translate_x", "width", 0.0, *x, Linear(), smooth, shift(self.translate_x)),
            Parameter("translate_y", "height", 0.0, *y, Linear(), smooth, shift(self.translate_y)),
            Parameter("scale", "factor", 1.0, *scale, Log(), smooth, shift(self.scale)),
            slope("shear_x", self.shear_x, shear_x),
            slope("shear_y", self.shear_y, shear_y),
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {
            "angle": Angle().snap(self.degrees.sample(u[:, 0]) / 360),
            "translate_x": self.translate_x.sample(u[:, 1]),
            "translate_y": self.translate_y.sample(u[:, 2]),
            "scale": self.scale.sample(u[:, 3]),
            "shear_x": sample_tangent(self.shear_x, u[:, 4]),
            "shear_y": sample_tangent(self.shear_y, u[:, 5]),
        }

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """Of the two ways to write a matrix, the one with `shear_y >= 0`.

        And where the whole image is shifted away, whatever its size, one shift that does so. With t
        the tangent of the shear along y, an angle of r and a tangent along x of s make the
        matrix that -t, r - 2 atan t and s + 2 t / (1 + t^2) make. Where the fields cannot draw
        both, the parameters stay as they are drawn.
        """
        import torch

        if self._may_leave:
            params = self._gone(params)
        if not self._ambiguous:
            return dict(params)
        t = params["shear_y"]
        folded = params["angle"] - t.atan() / math.pi
        folded = Angle().snap(folded - folded.detach().round())
        negative = t < 0
        return {
            **params,
            "angle": torch.where(negative, folded, params["angle"]),
            "shear_x": torch.where(
                negative, params["shear_x"] + 2 * t / (1 + t * t), params["shear_x"]
            ),
            "shear_y": t.abs(),
        }

    def _gone(self, params: Parameters) -> dict[str, Tensor]:
        """The parameters, with a shift by the whole width alone where nothing but fill is left.

        Of an image that is turned or slanted, its height over its width would decide what is left.
        """
        import torch

        straight = (2 * params["angle"]).frac() == 0
        straight = straight & (params["shear_x"] == 0) & (params["shear_y"] == 0)
        far = torch.maximum(params["translate_x"].abs(), params["translate_y"].abs())
        gone = straight & (2 * far >= 1 + params["scale"])
        away = dict(zip(NAMES, (0.0, 1.0, 0.0, 1.0, 0.0, 0.0), strict=True))
        return {name: torch.where(gone, away[name], params[name]) for name in NAMES}

    @property
    def _may_leave(self) -> bool:
        """Whether a draw may shift the whole image away, neither turned nor slanted."""
        shifts = (self.translate_x, self.translate_y)
        far = max(abs(end) for shift in shifts for end in (shift.low, shift.high))
        straight = any(self.degrees.can_be(angle) for angle in (-180, 0, 180))
        straight = straight and self.shear_x.can_be(0) and self.shear_y.can_be(0)
        return straight and 2 * far >= 1 + self.scale.low

    @property
    def _ambiguous(self) -> bool:
        """Whether two draws may make one matrix: all three of its angles must be free to vary."""
        varies = all(value.low < value.high for value in (self.degrees, self.shear_x))
        return varies and self.shear_y.low < 0 < self.shear_y.high

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        import torch

        changed = [params[n] != i for n, i in zip(NAMES, IDENTITIES, strict=True)]
        return torch.stack(changed, dim=-1).any(dim=-1)

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        return affinity(size, **{name: params[name] for name in NAMES})


def _folded(angle: Range, shear_x: Range, shear_y: Range) -> tuple[Range, Range, Range]:
    """The ranges of draws in these, some with a negative shear along y, and of what they become.

    Args:
        angle: in turns.
        shear_x: of the tangent.
        shear_y: of the tangent, from below 0 to above.
    """
    t = -shear_y[0]
    highest = angle[1] + math.atan(t) / math.pi
    turned = (angle[0], highest) if highest <= 0.5 else (-0.5, 0.5)
    # 2 t / (1 + t^2) is largest, 1, at t = 1
    bent = 2 * min(t, 1.0) / (1 + min(t, 1.0) ** 2)
    return turned, (shear_x[0] - bent, shear_x[1]), (shear_y[0], max(t, shear_y[1]))
