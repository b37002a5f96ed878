"""Add a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from augspec.language.codes import Code
from augspec.language.document import Fault
from augspec.ops.contract import Incoming, Parameters, Size
from augspec.ops.geometry import GeometricOp, scale_and_shift
from augspec.ops.lowering import Fusable, Resample
from augspec.ops.sizes import Sizes

if TYPE_CHECKING:
    from torch import Tensor

Margin = Annotated[int, Field(ge=0)]
Padding = Margin | tuple[Margin, Margin, Margin, Margin]
PadMode = Literal["constant", "reflect", "edge", "symmetric"]
Margins = tuple[int, int, int, int]


class Pad(GeometricOp):
    """Add a margin on each side, as `torchvision.transforms.v2.Pad`. It has no parameters."""

    op: Literal["pad"] = "pad"

    padding: Padding = 4
    """Pixels to add on every side, or at the left, top, right and bottom (torchvision's order)."""

    mode: PadMode = "constant"
    """What the margin shows: `constant` (see `fill`), `edge` (the outermost pixels repeated), or
    the image mirrored, with (`symmetric`) or without (`reflect`) its outermost pixels."""

    fill: float = Field(default=0.0, ge=0.0, le=1.0)
    """Intensity of a `constant` margin: 0 is black, 1 is white."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"padding": [1, 2, 3, 0], "fill": 0.5},
        {"padding": 5, "mode": "reflect"},
        {"padding": [0, 6, 2, 1], "mode": "symmetric"},
        {"padding": [30, 2, 0, 3], "mode": "edge"},
    )
    keeps_size: ClassVar[bool] = False
    not_invertible: ClassVar[str | None] = "a margin cannot be taken away by adding one"

    def output_size(self, size: Size) -> Size:
        """See `Op.output_size`."""
        return padded_size(size, margins(self.padding))

    @property
    def fused(self) -> Fusable | None:  # type: ignore[override]
        """See `Op.fused`: what the fused kernels show around an image is black."""
        return "window" if self.mode == "constant" and self.fill == 0 else None

    def resample(self, params: Parameters, size: Sizes) -> Resample:
        """See `Op.resample`."""
        left, top, _, _ = margins(self.padding)
        return Resample(corner=(-top, -left))

    def stays_inside(self, size: Size | None) -> bool:
        """See `Op.stays_inside`."""
        return not any(margins(self.padding))

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.padding import pad

        return pad(x, margins(self.padding), self.mode, self.fill)

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        import torch

        left, top, _, _ = margins(self.padding)
        height, width = self.output_size(size)
        one = torch.ones(batch, dtype=torch.float64)
        # a point's pixel moves by the margin before it, and its side is now that of the result
        ty, tx = (size[0] + 2 * top) / height - 1, (size[1] + 2 * left) / width - 1
        return scale_and_shift(one * size[1] / width, one * tx, one * size[0] / height, one * ty)

    def faults(self, incoming: Incoming) -> list[Fault]:
        """A margin that would be mirrored from beyond the far side of the image."""
        return padding_faults(margins(self.padding), self.mode, incoming)


def margins(padding: int | Margins) -> Margins:
    """Left, top, right and bottom; an `int` is all four."""
    return (padding,) * 4 if isinstance(padding, int) else padding


def padded_size(size: Size, padding: Margins) -> Size:
    """Height and width with the margins."""
    left, top, right, bottom = padding
    return top + size[0] + bottom, left + size[1] + right


def padding_faults(padding: Margins, mode: PadMode, incoming: Incoming) -> list[Fault]:
    """Margins that would be mirrored from beyond the far side of the image."""
    if incoming.size is None or mode in ("constant", "edge"):
        return []
    left, top, right, bottom = padding
    spare = 1 if mode == "reflect" else 0  # whether the outermost pixels are mirrored too
    height, width = incoming.size
    if max(top, bottom) <= height - spare and max(left, right) <= width - spare:
        return []
    message = f"{mode} padding of an image of {height}x{width} reaches at most {height - spare} "
    message += f"pixels up and down and {width - spare} to the sides, got {list(padding)} "
    message += "(left, top, right, bottom)"
    return [Fault(("padding",), message, Code.IMAGE_SIZE)]
