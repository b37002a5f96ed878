"""Replace the colours by their luma."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.encoding.codecs import Bit
from augspec.ops.contract import Parameter, Parameters, RandomOp, Size

if TYPE_CHECKING:
    from torch import Tensor


class Grayscale(RandomOp):
    """Replace the colours by their luma, as `torchvision.transforms.v2.RandomGrayscale`."""

    op: Literal["grayscale"] = "grayscale"

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.2},)
    not_invertible: ClassVar[str | None] = "the colours are gone"
    needs_colour: ClassVar[bool] = True

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """See `Op.parameters`."""
        high = 1.0 if self.p > 0 else 0.0
        return (Parameter("gray", "0 or 1", 0.0, 0.0, high, Bit(), differentiable=False),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"gray": u.new_ones(u.shape[0])}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["gray"] > 0.5

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.colour import grayscale
        from augspec.kernels.rows import where_rows

        return where_rows(self.active(params), grayscale(x), x)
