"""What ops that act in one way or not at all have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from augspec.encoding.codecs import Bit, Motion
from augspec.language.values import Choice, Constant, Linspace, Uniform, Value
from augspec.ops.contract import Op, Parameters, RandomOp, Rule, Size
from augspec.ops.effect import Effect
from augspec.ops.geometry import GeometricOp, scale_and_shift
from augspec.ops.lowering import Fusable, Resample
from augspec.ops.parameter import Parameter
from augspec.ops.sizes import Sizes

if TYPE_CHECKING:
    from torch import Tensor


ON = Constant(1.0)
"""What the gate lets through."""


class SwitchOp(RandomOp):
    """An op that acts in one way or not at all. Subclasses give `render`."""

    switch: ClassVar[str] = "on"
    """The name of the parameter that says whether it acts."""

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """See `Op.parameters`."""
        high = 1.0 if self.p > 0 else 0.0
        return (
            Parameter(self.switch, "0 or 1", 0.0, 0.0, high, Bit(), differentiable=False, value=ON),
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {self.switch: u.new_ones(u.shape[0])}

    def drawn_code(self, uniforms: Sequence[Tensor], size: Sizes) -> Tensor:
        """See `Op.drawn_code`: the gate itself, where there is nothing else to draw."""
        if len(self.parameters()) > 1:
            return super().drawn_code(uniforms, size)
        return (uniforms[0][:, :1] < self.gate).float()

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params[self.switch] > 0.5

    def motions(self) -> dict[str, Motion]:
        """See `Op.motions`: the whole op at once, for what else it has means nothing without it."""
        return {p.name: "jumps" for p in self.parameters()}


def sample_whole(value: Value, u: Tensor) -> Tensor:
    """Whole numbers from uniforms `(B,)`.

    From a pair, each is equally likely, both ends included; draws of other distributions are
    rounded to the nearest.
    """
    if isinstance(value, Uniform):  # rounding would make the ends half as likely
        low, high = value.low, value.high
        return (low + (high - low + 1) * u).floor().clamp(low, high)
    return value.sample(u).round()


def whole(value: Value) -> Value | None:
    """What `sample_whole` draws from and rounds; None where rounding spoils its moments."""
    if isinstance(value, Uniform) and value.low < value.high:
        return Linspace(value.low, value.high, round(value.high - value.low) + 1)
    return value if isinstance(value, Choice | Linspace) or value.low == value.high else None


def rounded(drawn: Tensor) -> Tensor:
    """Draws of `whole` as whole numbers."""
    return drawn.round()


class FlipOp(SwitchOp, GeometricOp):
    """An op that mirrors the image along one axis."""

    switch: ClassVar[str] = "flip"
    effect: ClassVar[Effect] = Effect(places="rearranges")
    axis: ClassVar[int]
    """Along which axis of `(B, C, H, W)`, counted from the end."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.5}, {"p": 0.0})
    fused: ClassVar[Fusable | None] = "window"

    def resample(self, params: Parameters, size: Sizes) -> Resample:
        """See `Op.resample`."""
        return Resample(flip=self.axis, flipped=self.active(params))

    def stays_inside(self, size: Size | None) -> bool:
        """See `Op.stays_inside`."""
        return True

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.rows import where_rows

        return where_rows(self.active(params), x.flip(self.axis), x)

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`: with every flip."""
        return isinstance(other, FlipOp)

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """A flip undoes itself."""
        return dict(params)

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        import torch

        sign = torch.where(self.active(params), -1.0, 1.0).double()
        one, zero = torch.ones_like(sign), torch.zeros_like(sign)
        across, down = (sign, one) if self.axis == -1 else (one, sign)
        return scale_and_shift(across, zero, down, zero)
