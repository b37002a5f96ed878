"""What ops that change the tones of an image have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from augspec.encoding.codecs import Linear
from augspec.language.values import Value
from augspec.language.within import Within
from augspec.ops.contract import Parameters, RandomOp, Size
from augspec.ops.parameter import NOT_NEGATIVE, Parameter, gated_range

if TYPE_CHECKING:
    from torch import Tensor

Factor = Annotated[Value, Within(0.0, spread_around=1.0)]


class FactorOp(RandomOp):
    """An op with one factor that changes nothing at 1. Subclasses give the default and `render`."""

    factor: Factor
    """A factor >= 0; 1 changes nothing."""

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """See `Op.parameters`."""
        low, high = gated_range(self.factor.low, self.factor.high, 1.0, self.p)
        codec, possible = Linear(1.0), NOT_NEGATIVE
        factor = Parameter(
            "factor", "factor", 1.0, low, high, codec, value=self.factor, possible=possible
        )
        return (factor,)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"factor": self.factor.sample(u[:, 0])}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["factor"] != 1.0
