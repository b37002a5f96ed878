"""Replace the colours by their luma."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.kernels.opcodes import Opcode
from augspec.ops.contract import Parameters, Size
from augspec.ops.effect import Effect
from augspec.ops.lowering import Fusable, Steps, one_step
from augspec.ops.switch import SwitchOp

if TYPE_CHECKING:
    from torch import Tensor


class Grayscale(SwitchOp):
    """Replace the colours by their luma, as `torchvision.transforms.v2.RandomGrayscale`."""

    op: Literal["grayscale"] = "grayscale"

    switch: ClassVar[str] = "gray"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.2},)
    not_invertible: ClassVar[str | None] = "the colours are gone"
    needs_colour: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect(tones="affine")
    fused: ClassVar[Fusable | None] = "chain"

    def steps(self, params: Parameters, size: Size) -> Steps:
        """See `Op.steps`."""
        return one_step(Opcode.GRAYSCALE, self.active(params))

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.colour import grayscale
        from augspec.kernels.rows import where_rows

        return where_rows(self.active(params), grayscale(x), x)
