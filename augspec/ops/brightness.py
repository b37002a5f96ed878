"""Scale the intensities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.kernels.opcodes import Opcode
from augspec.language.values import Uniform
from augspec.ops.contract import Op, Parameters, Rule, Size
from augspec.ops.effect import Effect
from augspec.ops.lowering import Fusable, Steps, one_step
from augspec.ops.tonal import Factor, FactorOp

if TYPE_CHECKING:
    from torch import Tensor


class Brightness(FactorOp):
    """Scale every channel, as `torchvision.transforms.v2.ColorJitter(brightness=...)`."""

    op: Literal["brightness"] = "brightness"

    factor: Factor = Uniform(0.6, 1.4)
    """Factor on every channel; 1 changes nothing, 0 is black. A single number s is
    [1 - s, 1 + s]."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"factor": 0.8, "p": 0.5},
        {"factor": {"choice": [0, 1, 2]}},
        {"factor": [1.4, 1.4]},
    )
    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "values clamped to [0, 1] are gone"
    effect: ClassVar[Effect] = Effect(tones="pixel", channelwise=True, monotone=True)
    fused: ClassVar[Fusable | None] = "chain"

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`: what only grows is clamped to white once or twice."""
        if not isinstance(other, Brightness):
            return False
        return lambda own, its: (own["factor"] >= 1) & (its["factor"] >= 1)

    def steps(self, params: Parameters, size: Size) -> Steps:
        """See `Op.steps`."""
        return one_step(Opcode.BRIGHTNESS, self.active(params), params["factor"])

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.colour import brightness

        return brightness(x, params["factor"])
