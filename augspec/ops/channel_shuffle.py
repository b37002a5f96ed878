"""Put the colour channels in another order."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.encoding.codecs import Category, Order
from augspec.language.values import Linspace
from augspec.ops.contract import Op, Parameters, RandomOp, Rule, Size
from augspec.ops.effect import Effect
from augspec.ops.hue import Hue
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor

_ORDERS = ["".join(order) for order in itertools.permutations("rgb")]
_CODEC = Category(len(_ORDERS), tuple(_ORDERS[1:]))


class ChannelShuffle(RandomOp):
    """Permute the channels, as `torchvision.transforms.v2.RandomChannelPermutation`.

    The six orders of red, green and blue are equally likely, the one that changes nothing among
    them.
    """

    op: Literal["channel_shuffle"] = "channel_shuffle"

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.5},)
    draws: ClassVar[int] = 1
    needs_colour: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect(tones="affine")

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The order's index in lexicographic order; column `gbr` means: green becomes red, ..."""
        high = len(_ORDERS) - 1.0 if self.p > 0 else 0.0
        drawn = Linspace(0, len(_ORDERS) - 1, len(_ORDERS))
        return (Parameter("permutation", "index", 0.0, 0.0, high, _CODEC, False, drawn),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"permutation": (u[:, 0] * len(_ORDERS)).floor()}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["permutation"].round() != 0

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`.

        With what treats all channels alike, each by itself; with its like, where the permutations
        do; and with a hue: to put the channels in a circle is to turn the hue by a third, and to
        exchange two is to turn it the other way round.
        """
        if other.effect.channelwise or other.effect.places is not None:
            return True
        if isinstance(other, ChannelShuffle):
            return lambda own, its: (_after(own, its) == _after(its, own)).all(dim=-1)
        if not isinstance(other, Hue):
            return False

        def turned(own: Parameters, its: Parameters) -> Tensor:
            index = own["permutation"].round()
            return (index == 3) | (index == 4) | (its["shift"].abs() == 0.5)

        return turned

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.channels import permute_channels

        return permute_channels(x, Order(3).permutation(params["permutation"]))

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """The permutation that puts every channel back."""
        back = Order(3).permutation(params["permutation"]).argsort(dim=-1)
        return {"permutation": Order(3).index(back)}


def _after(first: Parameters, second: Parameters) -> Tensor:
    """The permutation that `first` and then `second` make, `(B, 3)`."""
    orders = (Order(3).permutation(params["permutation"]) for params in (first, second))
    one, two = orders
    return one.gather(-1, two)
