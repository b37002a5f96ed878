"""Turn the image into its negative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.kernels.opcodes import Opcode
from augspec.ops.contract import Op, Parameters, Rule, Size
from augspec.ops.effect import Effect
from augspec.ops.lowering import Fusable, Steps, one_step
from augspec.ops.switch import SwitchOp

if TYPE_CHECKING:
    from torch import Tensor


class Invert(SwitchOp):
    """Turn every value v into 1 - v, as `torchvision.transforms.v2.RandomInvert`."""

    op: Literal["invert"] = "invert"

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.5}, {"p": 0.0})
    effect: ClassVar[Effect] = Effect(tones="affine", channelwise=True, monotone=True)
    fused: ClassVar[Fusable | None] = "chain"

    def steps(self, params: Parameters, size: Size) -> Steps:
        """See `Op.steps`."""
        return one_step(Opcode.INVERT, self.active(params))

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.rows import where_rows
        from augspec.kernels.tone import invert

        return where_rows(self.active(params), invert(x), x)

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`."""
        return other.effect.negative

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """A negative of a negative is the image."""
        return dict(params)
