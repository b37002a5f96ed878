"""Cut out the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.ops.contract import Parameters, Size
from augspec.ops.geometry import Side, SizedOp, pair, scale_and_shift
from augspec.ops.lowering import Fusable, Resample
from augspec.ops.sizes import Sizes

if TYPE_CHECKING:
    from torch import Tensor


class CenterCrop(SizedOp):
    """Cut out the middle, padding with black where the image is smaller, as torchvision does.

    It has no parameters.
    """

    op: Literal["center_crop"] = "center_crop"

    size: Side | tuple[Side, Side] = 224
    """Side of the square cut out, or its height and width, in pixels."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"size": 16}, {"size": [30, 10]})
    not_invertible: ClassVar[str | None] = "the margin is gone"
    fused: ClassVar[Fusable | None] = "window"

    def resample(self, params: Parameters, size: Sizes) -> Resample:
        """See `Op.resample`."""
        from augspec.kernels.resample import center_start

        if isinstance(size, tuple):
            top, left = (center_start(n, m) for n, m in zip(size, pair(self.size), strict=True))
            return Resample(corner=(top, left))
        starts = [
            [center_start(n, m) for n, m in zip(own, pair(self.size), strict=True)]
            for own in size.tolist()
        ]
        tops, lefts = size.new_tensor(starts).reshape(-1, 2).unbind(-1)
        return Resample(corner=(tops, lefts))

    def stays_inside(self, size: Size | None) -> bool:
        """See `Op.stays_inside`."""
        return size is not None and all(n >= m for n, m in zip(size, pair(self.size), strict=True))

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.resample import center_crop

        return center_crop(x, pair(self.size))

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        import torch

        one = torch.ones(batch, dtype=torch.float64)
        (sy, ty), (sx, tx) = (_axis(n, m) for n, m in zip(size, pair(self.size), strict=True))
        return scale_and_shift(one * sx, one * tx, one * sy, one * ty)


def _axis(side: int, cut: int) -> tuple[float, float]:
    """Scale and shift along one axis, torchvision's rounding of the margin included."""
    from augspec.kernels.resample import center_start

    start = center_start(side, cut)
    # edges: source -1..1 is pixel 0..side; target -1..1 is pixel start..start + cut
    scale = side / cut
    return scale, (side - 2 * start) / cut - 1
