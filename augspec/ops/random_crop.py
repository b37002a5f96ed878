"""Cut out a box of a fixed size at a random place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from augspec.encoding.codecs import Linear
from augspec.language.codes import Code
from augspec.language.document import Fault
from augspec.language.values import Constant, Linspace
from augspec.ops.contract import Incoming, Parameters, Size
from augspec.ops.geometry import Side, SizedOp, pair, scale_and_shift
from augspec.ops.lowering import Fusable, Resample
from augspec.ops.pad import Padding, PadMode, margins, padded_size, padding_faults
from augspec.ops.parameter import Parameter
from augspec.ops.sizes import Sizes, sides

if TYPE_CHECKING:
    from torch import Tensor


class RandomCrop(SizedOp):
    """Pad, and cut out a box at a random place, as `torchvision.transforms.v2.RandomCrop`.

    Nothing is resampled: the box has whole pixels. The parameters are the box's centre relative to
    the image that reaches the op, before padding. The identity is the middle: the box that
    `CenterCrop` cuts out, whose margin, where it is half a pixel off, is rounded to the even
    number; or the nearest one that lies in the padded image.
    """

    op: Literal["random_crop"] = "random_crop"

    size: Side | tuple[Side, Side] = 8
    """Side of the square cut out, or its height and width, in pixels."""

    padding: Padding = 0
    """Pixels to add first on every side, or at the left, top, right and bottom."""

    mode: PadMode = "constant"
    """What the margin shows: `constant` (see `fill`), `edge` (the outermost pixels repeated), or
    the image mirrored, with (`symmetric`) or without (`reflect`) its outermost pixels."""

    fill: float = Field(default=0.0, ge=0.0, le=1.0)
    """Intensity of a `constant` margin: 0 is black, 1 is white."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"size": [16, 17], "padding": 4, "fill": 0.5},
        {"size": 11, "padding": [1, 2, 3, 4], "mode": "reflect"},
        {"size": [7, 8], "padding": [0, 0, 5, 8], "mode": "symmetric"},
        {"size": [20, 24], "padding": [8, 6, 8, 6], "mode": "edge"},
    )
    draws: ClassVar[int] = 2
    not_invertible: ClassVar[str | None] = "what lies outside the box is gone"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The centre of the box, relative to the image that reaches the op."""
        found = []
        for axis, name in enumerate(("height", "width")):
            low, high, drawn = None, None, None
            if size is not None:
                first, last = self._places(axis, size[axis])
                half, side = pair(self.size)[axis] / 2, size[axis]
                low, high = min((first + half) / side, 0.5), max((last + half) / side, 0.5)
                count = last - first + 1
                drawn = Linspace(first, last, count) if count > 1 else Constant(first)
                drawn = drawn if self._stays_inside else None
            centre = ("center_y", "center_x")[axis]
            place = partial(self._centre, axis=axis, side=size[axis] if size else 0)
            unit = f"source {name}"
            codec, possible = Linear(0.5), self._anywhere(axis)
            own = Parameter(centre, unit, 0.5, low, high, codec, False, drawn, place, possible)
            found.append(own)
        return tuple(found)

    def _anywhere(self, axis: int) -> tuple[float, float]:
        """Where a box can have its centre in an image of any size."""
        left, top, right, bottom = margins(self.padding)
        before, after = ((top, bottom), (left, right))[axis]
        half = pair(self.size)[axis] / 2
        # only where the margin holds more than half a box can it lie outside: the further, relative
        # to the image, the smaller that is, and no image is smaller than one pixel
        return min(0.0, half - before), max(1.0, 1 + after - half)

    def _places(self, axis: int, side: Any) -> tuple[int, Any]:
        """The first and last row (axis 0) or column at which a box can start, before padding.

        Like the methods below, this takes a number for the side of all images, or `(B,)` float64.
        """
        left, top, right, bottom = margins(self.padding)
        before, after = ((top, bottom), (left, right))[axis]
        return -before, side + after - pair(self.size)[axis]

    def _start(self, centre: Tensor, axis: int, side: Any) -> Tensor:
        """The row or column at which the box around this centre starts, a whole number."""
        first, last = self._places(axis, side)
        # like Python's `round`, which torchvision's `CenterCrop` uses, this takes halves to the
        # even number; it undoes the rounding of float32 codes
        start = (centre * side - pair(self.size)[axis] / 2).round()
        return start.clamp(max=last).clamp(min=first)

    def sample(self, u: Tensor, size: Sizes) -> dict[str, Tensor]:
        """See `Op.sample`."""
        starts, lengths = [], sides(size, u)
        for axis in range(2):
            first, last = self._places(axis, lengths[axis])
            starts.append(first + (u[:, axis] * (last - first + 1)).floor())
        if not self._stays_inside:
            starts = self._seen(starts, lengths)
        names = enumerate(("center_y", "center_x"))
        return {name: self._centre(starts[axis], axis, lengths[axis]) for axis, name in names}

    @property
    def _stays_inside(self) -> bool:
        """Whether all boxes show different things: a margin that holds a whole box shows none."""
        left, top, right, bottom = margins(self.padding)
        h, w = pair(self.size)
        narrow = max(top, bottom) < h and max(left, right) < w
        return narrow or self.mode not in ("constant", "edge")

    def _seen(self, starts: Sequence[Tensor], size: tuple[Any, Any]) -> list[Tensor]:
        """Of the boxes that show the same of every image of this size, always the same one."""
        import torch

        outside, found = [], []
        for axis, start in enumerate(starts):
            box, side = pair(self.size)[axis], size[axis]
            if self.mode == "edge":  # beyond the edge, each row is like the last one
                found.append(start.clamp(min=1 - box).clamp(max=side - 1))
                continue
            first, last = self._places(axis, side)
            outside.append((start + box <= 0) | (start >= side))
            away = first if first + box <= 0 else last
            found.append(torch.zeros_like(start) + away)
        if not outside:
            return found
        gone = outside[0] | outside[1]
        return [torch.where(gone, a, s) for a, s in zip(found, starts, strict=True)]

    def _centre(self, start: Tensor, axis: int, side: Any) -> Tensor:
        """The centre of the box that starts at this row or column."""
        import torch

        centre = (start + pair(self.size)[axis] / 2) / side
        # the middle box has one code, zero, even where no box has its centre in the middle
        middle = torch.full_like(centre, 0.5)
        return torch.where(start == self._start(middle, axis, side), middle, centre)

    def corner(self, params: Parameters, size: Sizes) -> tuple[Tensor, Tensor]:
        """The first row and column of the box in the image before padding, each `(B,)` float64."""
        height, width = sides(size, params["center_y"])
        top = self._start(params["center_y"], 0, height)
        return top, self._start(params["center_x"], 1, width)

    @property
    def fused(self) -> Fusable | None:  # type: ignore[override]
        """See `Op.fused`: what the fused kernels show around an image is black."""
        return "window" if self.mode == "constant" and self.fill == 0 else None

    def resample(self, params: Parameters, size: Sizes) -> Resample:
        """See `Op.resample`."""
        return Resample(corner=self.corner(params, size))

    def stays_inside(self, size: Size | None) -> bool:
        """See `Op.stays_inside`."""
        return not any(margins(self.padding))

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.padding import crop_padded

        top, left = self.corner(params, (x.shape[-2], x.shape[-1]))
        where = margins(self.padding)
        return crop_padded(x, top.long(), left.long(), pair(self.size), where, self.mode, self.fill)

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        import torch

        (height, width), (h, w) = size, pair(self.size)
        top, left = self.corner(params, size)
        one = torch.ones_like(top)
        tx, ty = (width - 2 * left) / w - 1, (height - 2 * top) / h - 1
        return scale_and_shift(one * width / w, tx, one * height / h, ty)

    def faults(self, incoming: Incoming) -> list[Fault]:
        """A margin that cannot be mirrored, or a box that the padded image does not hold."""
        where = margins(self.padding)
        faults = padding_faults(where, self.mode, incoming)
        if incoming.size is None:
            return faults
        height, width = padded_size(incoming.size, where)
        h, w = pair(self.size)
        if h > height or w > width:
            message = f"the box must fit into the padded image of {height}x{width}, got {h}x{w}"
            faults.append(Fault(("size",), message, Code.IMAGE_SIZE))
        return faults
