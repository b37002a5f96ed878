"""Rotate the hue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from augspec.encoding.codecs import Angle
from augspec.kernels.opcodes import Opcode
from augspec.language.values import Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameters, RandomOp, Size
from augspec.ops.effect import Effect
from augspec.ops.lowering import Fusable, Steps, one_step
from augspec.ops.parameter import Parameter
from augspec.ops.tonal import gated_range

if TYPE_CHECKING:
    from torch import Tensor


class Hue(RandomOp):
    """Rotate the hue, as `torchvision.transforms.v2.ColorJitter(hue=...)`."""

    op: Literal["hue"] = "hue"

    shift: Annotated[Value, Within(-0.5, 0.5, spread_around=0.0)] = Uniform(-0.1, 0.1)
    """Rotation of the hue in turns; 0 changes nothing, and -0.5 and 0.5 are the same. A single
    number s is [-s, s]."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"shift": 0.5, "p": 0.5},
        {"shift": {"choice": [-0.5, 0, 0.5]}},
    )
    draws: ClassVar[int] = 1
    identity_error: ClassVar[float] = 1e-6
    needs_colour: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect(tones="pixel")
    fused: ClassVar[Fusable | None] = "chain"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """See `Op.parameters`."""
        low, high = gated_range(self.shift.low, self.shift.high, 0.0, self.p)
        return (Parameter("shift", "turn", 0.0, low, high, Angle(), value=self.shift),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`; on the grid that a float32 code carries."""
        return {"shift": Angle().snap(self.shift.sample(u[:, 0]))}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """A shift and the same plus whole turns are one; the codec makes one of the half turns."""
        shift = params["shift"]
        return {"shift": shift - shift.detach().round()}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["shift"].frac() != 0.0

    def steps(self, params: Parameters, size: Size) -> Steps:
        """See `Op.steps`."""
        return one_step(Opcode.HUE, self.active(params), params["shift"])

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.colour import hue

        return hue(x, params["shift"])

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """The rotation the other way: inside [0, 1] a hue loses nothing."""
        return {"shift": -params["shift"]}
