"""Smear the image along a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from augspec.encoding.codecs import Angle
from augspec.language.values import Uniform, Value
from augspec.language.within import Within
from augspec.ops.affinity import turns
from augspec.ops.contract import Op, Parameters, Rule, Size
from augspec.ops.effect import Effect
from augspec.ops.parameter import Parameter
from augspec.ops.switch import FlipOp
from augspec.ops.windowed import WindowOp

if TYPE_CHECKING:
    from torch import Tensor


class MotionBlur(WindowOp):
    """Smear along a line, edges mirrored, as `kornia.filters.motion_blur` with `mode="bilinear"`.

    Kornia's default mode, `nearest`, gives the same blur for many angles; with this one, each has a
    blur of its own, and a gradient. The ranges of angle and direction are those of the example of
    Kornia's `RandomMotionBlur`.
    """

    op: Literal["motion_blur"] = "motion_blur"

    kernel: int = Field(default=9, ge=3)
    """Length of the line, and side of the square around each pixel, in pixels, an odd number from
    3."""

    angle: Annotated[Value, Within(-360.0, 360.0)] = Uniform(-35.0, 35.0)
    """Angle of the line from the horizontal in degrees, anti-clockwise."""

    direction: Annotated[Value, Within(-1.0, 1.0)] = Uniform(-0.5, 0.5)
    """Where along the line the weight is: 0 is even; 1 has most at the left end (before the line is
    turned) and nothing at the right one, and -1 the reverse. Images are correlated with it."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"kernel": 3, "p": 0.5},
        {"kernel": 5, "angle": [-360, 360], "direction": [-1, 1], "p": 0.5},
        {"angle": {"choice": [-90, 0, 90, 180]}, "direction": {"choice": [-1, 0, 1]}},
    )
    draws: ClassVar[int] = 2
    not_invertible: ClassVar[str | None] = "fine detail is gone"
    effect: ClassVar[Effect] = Effect(places="averages")

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """`on`, angle and direction; the last two are 0 where the op is off."""
        low, high = self.angle.low / 360, self.angle.high / 360
        folds = not -0.25 < low <= high <= 0.25  # some angle is drawn that is turned by half a turn
        first, last = self.direction.low, self.direction.high
        if folds:
            low, high = -0.25, 0.25
            first, last = min(first, -last), max(last, -first)
        angle, direction = (None, None) if folds else (self.angle, self.direction)
        if self.p < 1:
            low, high, first, last = min(low, 0.0), max(high, 0.0), min(first, 0.0), max(last, 0.0)
        if self.p == 0:
            low = high = first = last = 0.0
        return (
            *super().parameters(size),
            Parameter("angle", "turn", 0.0, low, high, Angle(), True, angle, turns),
            Parameter(
                "direction", "fraction", 0.0, first, last, value=direction, possible=(-1.0, 1.0)
            ),
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        angle, direction = _half_turned(
            Angle().snap(self.angle.sample(u[:, 0]) / 360), self.direction.sample(u[:, 1])
        )
        return {**super().sample(u, size), "angle": angle, "direction": direction}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """The line is the same after half a turn, its ends exchanged: angles in (-1/4, 1/4]."""
        import torch

        on = self.active(params)
        angle, direction = _half_turned(params["angle"], params["direction"])
        return {
            "on": params["on"],
            "angle": torch.where(on, angle, 0.0),
            "direction": torch.where(on, direction, 0.0),
        }

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`: with flips along a line of even weights, and across the line."""
        if not isinstance(other, FlipOp):
            return False
        along, across = (0.0, 0.25) if other.axis == -1 else (0.25, 0.0)

        def symmetric(own: Parameters, its: Parameters) -> Tensor:
            even = (own["angle"] == along) & (own["direction"] == 0)
            return even | (own["angle"] == across)

        return symmetric

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.filters import motion_blur
        from augspec.kernels.rows import where_rows

        view = motion_blur(x, params["angle"], params["direction"], self.kernel)
        return where_rows(self.active(params), view, x)


def _half_turned(turns: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """The same blur with its angle in (-1/4, 1/4] turn."""
    import torch

    halves = (2 * turns.detach() - 0.5).ceil()
    return turns - halves / 2, torch.where(halves % 2 == 0, direction, -direction)
