"""Raise the intensities to a power."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from augspec.encoding.codecs import Log
from augspec.language.values import LogUniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Op, Parameters, RandomOp, Rule, Size
from augspec.ops.effect import Effect
from augspec.ops.parameter import Parameter
from augspec.ops.tonal import gated_range

if TYPE_CHECKING:
    from torch import Tensor


class Gamma(RandomOp):
    """Raise every value to a power, as `torchvision.transforms.v2.functional.adjust_gamma`."""

    op: Literal["gamma"] = "gamma"

    gamma: Annotated[Value, Within(0.0, open_low=True)] = LogUniform(0.7, 1.5)
    """The exponent; 1 changes nothing, above 1 shadows become darker, below 1 lighter."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"gamma": 0.5, "p": 0.5},
        {"gamma": {"choice": [0.4, 1, 2.2]}},
    )
    draws: ClassVar[int] = 1
    effect: ClassVar[Effect] = Effect(tones="pixel", channelwise=True, monotone=True)

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """See `Op.parameters`."""
        low, high = gated_range(self.gamma.low, self.gamma.high, 1.0, self.p)
        return (Parameter("gamma", "exponent", 1.0, low, high, Log(), value=self.gamma),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"gamma": self.gamma.sample(u[:, 0])}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["gamma"] != 1.0

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`: of two, the exponents are multiplied."""
        return isinstance(other, Gamma)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.tone import gamma

        return gamma(x, params["gamma"])

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """The root that undoes the power, as far as the image's dtype resolves its shadows."""
        return {"gamma": params["gamma"].reciprocal()}
