"""Keep few levels of each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import field_validator

from augspec.language.document import fault
from augspec.language.values import Choice, Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Op, Parameters, Rule, Size
from augspec.ops.effect import Effect
from augspec.ops.parameter import Parameter
from augspec.ops.switch import SwitchOp, rounded, sample_whole, whole

if TYPE_CHECKING:
    from torch import Tensor


class Posterize(SwitchOp):
    """Keep the highest bits of each channel, as `torchvision.transforms.v2.RandomPosterize`.

    As there, a float image comes out on multiples of 1 / 2 ** bits, rounded down: even 8 bits
    change it a little.
    """

    op: Literal["posterize"] = "posterize"

    bits: Annotated[Value, Within(0.0, 8.0)] = Uniform(3.0, 6.0)
    """Bits that each channel keeps, a whole number from 0 (black) to 8. From a pair [low, high],
    each whole number is equally likely, both ends included; draws of `normal` and `log_uniform` are
    rounded to the nearest."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"bits": 4, "p": 0.5},
        {"bits": [0, 8]},
        {"bits": {"choice": [1, 2, 8]}},
        {"bits": {"normal": {"mean": 4, "std": 1, "low": 2, "high": 6}}},
    )
    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "the low bits are gone"
    not_differentiable: ClassVar[str | None] = "the output is constant between its levels"
    effect: ClassVar[Effect] = Effect(tones="pixel", channelwise=True, monotone=True)

    @field_validator("bits")
    @classmethod
    def _whole(cls, bits: Value) -> Value:
        named = bits.choice if isinstance(bits, Choice) else (bits.low, bits.high)
        for number in named:
            if number != round(number):
                raise fault(f"a number of bits is a whole number from 0 to 8, got {number:g}")
        return bits

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """`on`, and the number of bits, which is 0 where the op is off."""
        high = self.bits.high if self.p > 0 else 0.0
        return (
            *super().parameters(size),
            Parameter(
                "bits",
                "bits",
                0.0,
                0.0,
                high,
                differentiable=False,
                value=whole(self.bits),
                convert=rounded,
                possible=(0.0, 8.0),
            ),
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {**super().sample(u, size), "bits": sample_whole(self.bits, u[:, 0])}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """An unused number of bits is not part of the code, and what is used is whole."""
        import torch

        bits = params["bits"].round().clamp(0.0, 8.0)
        return {"on": params["on"], "bits": torch.where(self.active(params), bits, 0.0)}

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`: of two, the fewer bits are kept."""
        return isinstance(other, Posterize)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.rows import where_rows
        from augspec.kernels.tone import posterize

        return where_rows(self.active(params), posterize(x, params["bits"]), x)
