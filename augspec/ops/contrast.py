"""Scale the distance to the mean luma."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.kernels.opcodes import Opcode
from augspec.language.values import Uniform
from augspec.ops.contract import Parameters, Size
from augspec.ops.effect import Effect
from augspec.ops.lowering import Fusable, Steps, one_step
from augspec.ops.tonal import Factor, FactorOp

if TYPE_CHECKING:
    from torch import Tensor


class Contrast(FactorOp):
    """Change the contrast, as `torchvision.transforms.v2.ColorJitter(contrast=...)`."""

    op: Literal["contrast"] = "contrast"

    factor: Factor = Uniform(0.6, 1.4)
    """Factor on the distance to the image's mean luma; 1 changes nothing, 0 is uniformly gray. A
    single number s is [1 - s, 1 + s]."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"factor": 0.8, "p": 0.5},
        {"factor": {"choice": [0, 1, 2]}},
        {"factor": [1.4, 1.4]},
    )
    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "values clamped to [0, 1] are gone"
    effect: ClassVar[Effect] = Effect(tones="image")
    fused: ClassVar[Fusable | None] = "chain"

    def steps(self, params: Parameters, size: Size) -> Steps:
        """See `Op.steps`."""
        return one_step(Opcode.CONTRAST, self.active(params), params["factor"])

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.colour import contrast

        return contrast(x, params["factor"])
