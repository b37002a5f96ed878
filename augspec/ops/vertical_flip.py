"""Mirror the image top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.encoding.codecs import Bit
from augspec.ops.contract import Parameter, Parameters, RandomOp, Size
from augspec.ops.geometry import GeometricOp, scale_and_shift

if TYPE_CHECKING:
    from torch import Tensor


class VerticalFlip(RandomOp, GeometricOp):
    """Mirror the image top to bottom, as `torchvision.transforms.v2.RandomVerticalFlip`."""

    op: Literal["vertical_flip"] = "vertical_flip"

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.5}, {"p": 0.0})

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """See `Op.parameters`."""
        high = 1.0 if self.p > 0 else 0.0
        return (Parameter("flip", "0 or 1", 0.0, 0.0, high, Bit(), differentiable=False),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"flip": u.new_ones(u.shape[0])}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["flip"] > 0.5

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.rows import where_rows

        return where_rows(self.active(params), x.flip(-2), x)

    def inverse(self, params: Parameters) -> dict[str, Tensor]:
        """A flip undoes itself."""
        return dict(params)

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        import torch

        sy = torch.where(self.active(params), -1.0, 1.0).double()
        zero = torch.zeros_like(sy)
        return scale_and_shift(zero + 1, zero, sy, zero)
