"""Replace each pixel by the median around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.ops.contract import Parameters
from augspec.ops.effect import Effect
from augspec.ops.windowed import WindowOp

if TYPE_CHECKING:
    from torch import Tensor


class MedianBlur(WindowOp):
    """Take each channel's median in a square, edges mirrored, as `kornia.filters.median_blur`."""

    op: Literal["median_blur"] = "median_blur"

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"kernel": 5, "p": 0.5},)
    not_invertible: ClassVar[str | None] = "fine detail is gone"
    effect: ClassVar[Effect] = Effect(places="ranks", even=True)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.filters import median_blur
        from augspec.kernels.rows import where_rows

        return where_rows(self.active(params), median_blur(x, self.kernel), x)
