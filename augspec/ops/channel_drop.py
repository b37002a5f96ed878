"""Blank one colour channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from augspec.encoding.codecs import Category, Order
from augspec.language.values import Linspace
from augspec.ops.channel_shuffle import ChannelShuffle
from augspec.ops.contract import Op, Parameters, RandomOp, Rule, Size
from augspec.ops.effect import Effect, Keeps
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor

_CODEC = Category(4, ("red", "green", "blue"))


class ChannelDrop(RandomOp):
    """Set one channel, any of the three with equal chance, to a constant."""

    op: Literal["channel_drop"] = "channel_drop"

    fill: float = Field(default=0.0, ge=0.0, le=1.0)
    """Intensity that the channel is set to: 0 is none of that colour, 1 is all of it."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.5}, {"fill": 0.5})
    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "the channel is gone"
    needs_colour: ClassVar[bool] = True

    @property
    def effect(self) -> Effect:  # type: ignore[override]
        """See `Op.effect`."""
        return Effect(tones="affine", monotone=True)

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Which channel: 0 for none, 1, 2, 3 for red, green, blue."""
        low, high = float(self.p == 1), 3.0 if self.p > 0 else 0.0
        return (Parameter("channel", "index", 0.0, low, high, _CODEC, False, Linspace(1, 3, 3)),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"channel": 1 + (u[:, 0] * 3).floor()}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["channel"].round() != 0

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`: with its like, and with what leaves its channel in its place."""
        if isinstance(other, ChannelDrop):
            if self.fill == other.fill:
                return True
            return lambda own, its: own["channel"].round() != its["channel"].round()
        if not isinstance(other, ChannelShuffle):
            apart = other.effect.channelwise or other.effect.monotone  # each channel by itself
            return Keeps((self.fill,)) if apart else False

        def stays(own: Parameters, its: Parameters) -> Tensor:
            dropped = own["channel"].round().long().clamp(1, 3)[:, None] - 1
            return (Order(3).permutation(its["permutation"]).gather(-1, dropped) == dropped)[:, 0]

        return stays

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.channels import drop_channel

        return drop_channel(x, params["channel"], self.fill)
