"""Invert the bright pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from augspec.encoding.codecs import Linear
from augspec.kernels.opcodes import Opcode
from augspec.language.codes import Code
from augspec.language.values import Constant, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameters, Size
from augspec.ops.effect import Effect
from augspec.ops.lowering import Fusable, Steps, one_step
from augspec.ops.parameter import Parameter
from augspec.ops.switch import SwitchOp

if TYPE_CHECKING:
    from torch import Tensor


class Solarize(SwitchOp):
    """Invert every channel value at or above a threshold, as torchvision's `RandomSolarize`."""

    op: Literal["solarize"] = "solarize"

    threshold: Annotated[
        Value, Within(0.0, 1.0, code=Code.SOLARIZE_THRESHOLD, hint="; 128 of 255 is 0.50196")
    ] = Constant(0.5)
    """Values >= threshold become 1 - value; images lie in [0, 1], so 128 of 255 is 0.50196."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"p": 0.2, "threshold": 0.50196},
        {"threshold": [0.2, 0.9], "p": 0.5},
    )
    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "dark and inverted bright pixels cannot be told apart"
    effect: ClassVar[Effect] = Effect(tones="pixel", channelwise=True)
    fused: ClassVar[Fusable | None] = "chain"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """`on`, and the threshold, which is 0 where the op is off."""
        # zero, not one, is the threshold's identity: its code is then the threshold itself, which
        # float32 carries without the rounding that would move it across a pixel value
        high = self.threshold.high if self.p > 0 else 0.0
        return (
            *super().parameters(size),
            Parameter(
                "threshold",
                "intensity",
                0.0,
                0.0,
                high,
                Linear(),
                differentiable=False,
                value=self.threshold,
                possible=(0.0, 1.0),
            ),
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {**super().sample(u, size), "threshold": self.threshold.sample(u[:, 0])}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """An unused threshold is not part of the code."""
        import torch

        on = self.active(params)
        return {"on": params["on"], "threshold": torch.where(on, params["threshold"], 0.0)}

    def steps(self, params: Parameters, size: Size) -> Steps:
        """See `Op.steps`."""
        return one_step(Opcode.SOLARIZE, self.active(params), params["threshold"])

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.colour import solarize
        from augspec.kernels.rows import where_rows

        return where_rows(self.active(params), solarize(x, params["threshold"]), x)
