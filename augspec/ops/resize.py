"""Resize the whole image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.kernels.opcodes import Filter
from augspec.ops.contract import Parameters, Size
from augspec.ops.geometry import GeometricOp, Interpolation, Side, scale_and_shift
from augspec.ops.lowering import Fusable, Resample
from augspec.ops.sizes import Sizes

if TYPE_CHECKING:
    from torch import Tensor


class Resize(GeometricOp):
    """Resize the whole image, as `torchvision.transforms.v2.Resize`. It has no parameters."""

    op: Literal["resize"] = "resize"

    size: Side | tuple[Side, Side] = 256
    """One number: the shorter side, the other in proportion. Two: height and width."""

    interpolation: Interpolation = "bilinear"
    """How pixels in between are found."""

    antialias: bool = True
    """Whether shrinking averages over all the pixels it merges."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"size": 12},
        {"size": [20, 24], "interpolation": "bicubic"},
        {"size": [9, 31]},
    )
    keeps_size: ClassVar[bool] = False
    not_invertible: ClassVar[str | None] = "resampling loses detail"
    fused: ClassVar[Fusable | None] = "filter"

    def output_size(self, size: Size) -> Size:
        """See `Op.output_size`; rounds the longer side down, as torchvision does."""
        if not isinstance(self.size, int):
            return self.size
        height, width = size
        if height <= width:
            return self.size, int(self.size * width / height)
        return int(self.size * height / width), self.size

    def fixed_output_size(self) -> Size | None:
        """See `Op.fixed_output_size`."""
        return None if isinstance(self.size, int) else self.size

    def resample(self, params: Parameters, size: Sizes) -> Resample:
        """See `Op.resample`."""
        return Resample(Filter[self.interpolation.upper()], self.antialias)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.resample import resize

        height, width = x.shape[-2:]
        return resize(x, self.output_size((height, width)), self.interpolation, self.antialias)

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`: the whole image stays the whole image."""
        import torch

        one = torch.ones(batch, dtype=torch.float64)
        return scale_and_shift(one, one * 0, one, one * 0)
