"""Put the colour channels in another order."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.encoding.codecs import Category, Order
from augspec.ops.contract import Parameter, Parameters, RandomOp, Size

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

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The order's index in lexicographic order; column `gbr` means: green becomes red, ..."""
        high = len(_ORDERS) - 1.0 if self.p > 0 else 0.0
        parameter = Parameter("permutation", "index", 0.0, 0.0, high, _CODEC, differentiable=False)
        return (parameter,)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"permutation": (u[:, 0] * len(_ORDERS)).floor()}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["permutation"].round() != 0

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.channels import permute_channels

        return permute_channels(x, Order(3).permutation(params["permutation"]))

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """The permutation that puts every channel back."""
        back = Order(3).permutation(params["permutation"]).argsort(dim=-1)
        return {"permutation": Order(3).index(back)}
