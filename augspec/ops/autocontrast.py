"""Stretch each channel over the whole range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.ops.contract import Parameters
from augspec.ops.effect import Effect
from augspec.ops.switch import SwitchOp

if TYPE_CHECKING:
    from torch import Tensor


class Autocontrast(SwitchOp):
    """Stretch each channel to [0, 1], as `torchvision.transforms.v2.RandomAutocontrast`.

    The darkest value of a channel becomes 0 and its brightest 1; a channel of one value stays.
    """

    op: Literal["autocontrast"] = "autocontrast"

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.5}, {"p": 0.0})
    not_invertible: ClassVar[str | None] = "the range that each channel had is gone"
    not_scalable: ClassVar[str | None] = "it goes by single pixels, the darkest and the brightest"
    effect: ClassVar[Effect] = Effect(tones="image", channelwise=True, negative=True)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.rows import where_rows
        from augspec.kernels.tone import autocontrast

        return where_rows(self.active(params), autocontrast(x), x)
