"""Spread the histogram of each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.ops.contract import Parameters
from augspec.ops.effect import Effect
from augspec.ops.switch import SwitchOp

if TYPE_CHECKING:
    from torch import Tensor


class Equalize(SwitchOp):
    """Equalise the histogram of each channel, as `torchvision.transforms.v2.RandomEqualize`.

    As there, images count as 8-bit ones, so what comes out has 256 levels.
    """

    op: Literal["equalize"] = "equalize"

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.5}, {"p": 0.0})
    not_differentiable: ClassVar[str | None] = "the output is a table of 256 steps"
    not_invertible: ClassVar[str | None] = "levels that became one cannot be told apart"
    not_scalable: ClassVar[str | None] = "it counts pixels: few are shared out coarsely"
    effect: ClassVar[Effect] = Effect(tones="image", channelwise=True)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.rows import where_rows
        from augspec.kernels.tone import equalize

        return where_rows(self.active(params), equalize(x), x)
