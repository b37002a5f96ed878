"""Replace the colours by their luma."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from augspec.encoding.codecs import Bit
from augspec.ops.contract import Parameter, Parameters, RandomOp, Size

if TYPE_CHECKING:
    from torch import Tensor


class Grayscale(RandomOp):
    """Replace the colours by their luma, as `torchvision.transforms.v2.RandomGrayscale`."""

    op: Literal["grayscale"] = "grayscale"

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
        import torch

        from augspec.kernels.colour import grayscale

        return torch.where(self.active(params)[:, None, None, None], grayscale(x), x)
