"""Blur with a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.ops.contract import Parameters
from augspec.ops.effect import Effect
from augspec.ops.windowed import WindowOp

if TYPE_CHECKING:
    from torch import Tensor


class BoxBlur(WindowOp):
    """Average the pixels in a square around each, edges mirrored, as `kornia.filters.box_blur`."""

    op: Literal["box_blur"] = "box_blur"

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"kernel": 5, "p": 0.5},)
    not_invertible: ClassVar[str | None] = "fine detail is gone"
    effect: ClassVar[Effect] = Effect(places="averages", even=True)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.filters import box_blur
        from augspec.kernels.rows import where_rows

        return where_rows(self.active(params), box_blur(x, self.kernel), x)
