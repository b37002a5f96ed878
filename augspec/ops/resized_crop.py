"""Cut out a random box and resize it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from augspec.encoding.codecs import Linear, Log
from augspec.kernels.opcodes import Filter
from augspec.language.values import LogUniform, Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameters, RandomOp, Size
from augspec.ops.geometry import (
    SMALLEST,
    Interpolation,
    Side,
    SizedOp,
    inside,
    pair,
    scale_and_shift,
)
from augspec.ops.lowering import Fusable, Resample
from augspec.ops.parameter import Parameter
from augspec.ops.sizes import Sizes, sides

if TYPE_CHECKING:
    from torch import Tensor

ATTEMPTS = 10  # torchvision's RandomResizedCrop gives up after as many boxes that do not fit

_NAMES = ("center_y", "center_x", "height", "width")
_CENTRE, _SIDE = Linear(0.5), Log()


class ResizedCrop(RandomOp, SizedOp):
    """Cut out a random box and resize it, as `torchvision.transforms.v2.RandomResizedCrop`.

    Boxes are drawn as torchvision draws them: on the pixel grid, by area and aspect ratio, ten
    attempts, then the largest central box whose aspect ratio is in range. The parameters are the
    box relative to the image that reaches the op; where `p` gates it off, that is the whole image.
    """

    op: Literal["resized_crop"] = "resized_crop"

    size: Side | tuple[Side, Side] = 224
    """Side of the square that comes out, or its height and width, in pixels."""

    area: Annotated[Value, Within(0.0, 1.0, open_low=True)] = Uniform(0.08, 1.0)
    """Area of the box as a fraction of the image's."""

    aspect: Annotated[Value, Within(0.0, open_low=True)] = LogUniform(3 / 4, 4 / 3)
    """Width over height of the box in pixels. torchvision draws it log-uniformly: that is
    `{log_uniform: [0.75, 1.3333]}`, and a plain pair is uniform."""

    interpolation: Interpolation = "bilinear"
    """How pixels in between are found."""

    antialias: bool = True
    """Whether shrinking averages over all the pixels it merges."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"size": [20, 24], "interpolation": "bicubic", "p": 0.5},
        {"size": 16, "area": [0.2, 1.0], "aspect": {"log_uniform": [0.75, 1.3333]}},
        {"size": 16, "area": 0.9, "aspect": [3.0, 4.0], "antialias": False},
        {"size": [20, 24], "p": 0.5, "antialias": False, "interpolation": "bicubic"},
    )
    draws: ClassVar[int] = 2 * ATTEMPTS + 2
    limits: ClassVar[str | None] = "the box must lie in the image and hold something"
    not_invertible: ClassVar[str | None] = "what lies outside the box is gone"
    fused: ClassVar[Fusable | None] = "filter"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Centre and size of the box, relative to the image that reaches the op."""
        low_height, low_width = self._smallest(size)
        return (
            self._centre("center_y", "source height"),
            self._centre("center_x", "source width"),
            self._side("height", low_height),
            self._side("width", low_width),
        )

    def _centre(self, name: str, unit: str) -> Parameter:
        smooth = self.interpolation != "nearest"
        return Parameter(name, unit, 0.5, 0.0, 1.0, _CENTRE, smooth, possible=(0.0, 1.0))

    def _side(self, name: str, low: float | None) -> Parameter:
        unit, smooth, possible = f"source {name}", self.interpolation != "nearest", (SMALLEST, 1.0)
        return Parameter(name, unit, 1.0, low, 1.0, _SIDE, smooth, possible=possible)

    def _smallest(self, size: Size | None) -> tuple[float | None, float | None]:
        """The smallest height and width that a draw can give, relative to the image."""
        if size is None:
            return None, None
        height, width = size
        area = self.area.low * height * width
        fallback = self._fallback(size)
        # boxes are rounded to whole pixels and hold at least one
        h = min(max(round((area / self.aspect.high) ** 0.5), 1), fallback[0])
        w = min(max(round((area * self.aspect.low) ** 0.5), 1), fallback[1])
        return h / height, w / width

    def sample(self, u: Tensor, size: Sizes) -> dict[str, Tensor]:
        """See `Op.sample`; uniforms: ten areas, ten aspect ratios, then top and left."""
        import torch

        from augspec.kernels.tracing import readable

        if readable(u):
            boxes, _ = self._boxes(u, size, u[:, 0], math.inf)
            return dict(zip(_NAMES, boxes.unbind(0), strict=True))
        height, width = sides(size, u)
        each = isinstance(height, torch.Tensor)
        most_h, most_w = (height[:, None], width[:, None]) if each else (height, width)
        area = self.area.sample(u[:, :ATTEMPTS]) * (most_h * most_w)
        aspect = self.aspect.sample(u[:, ATTEMPTS : 2 * ATTEMPTS])
        h, w = (area / aspect).sqrt().round(), (area * aspect).sqrt().round()
        fits = (h > 0) & (h <= most_h) & (w > 0) & (w <= most_w)
        # of several that fit, `max` gives the first, as `argmax` does, but sooner
        any_fits, first = fits.byte().max(dim=1, keepdim=True)
        found = any_fits[:, 0] > 0
        h, w = h.gather(1, first)[:, 0], w.gather(1, first)[:, 0]
        top = (u[:, -2] * (height - h + 1)).floor()
        left = (u[:, -1] * (width - w + 1)).floor()

        fallback = self._fallbacks if each else self._fallback
        fallback_h, fallback_w = fallback((height, width))
        h = torch.where(found, h, fallback_h)
        w = torch.where(found, w, fallback_w)
        top = torch.where(found, top, (height - fallback_h) // 2)
        left = torch.where(found, left, (width - fallback_w) // 2)
        return {
            "center_y": (top + h / 2) / height,
            "center_x": (left + w / 2) / width,
            "height": h / height,
            "width": w / width,
        }

    def drawn_code(self, uniforms: Sequence[Tensor], size: Sizes) -> Tensor:
        """See `Op.drawn_code`."""
        from augspec.kernels.tracing import readable

        (u,) = uniforms
        if not readable(u):
            return super().drawn_code(uniforms, size)
        boxes, code = self._boxes(u[:, 1:], size, u[:, 0], self.gate)
        # what float32 carries of a logarithm is that logarithm: see the third law of codecs
        code[:, 2:] = boxes[2:].log().t()
        return code

    def _boxes(self, u: Tensor, size: Sizes, switch: Tensor, gate: float) -> tuple[Tensor, Tensor]:
        """Boxes in machine code.

        Args:
            u: as for `sample`.
            size: likewise.
            switch: `(B,)`, below `gate` where there is a box; elsewhere, the identity.
            gate: see there.

        Returns:
            The parameters `(4, B)`, and the code `(B, 4)` without that of the sides.
        """
        import numpy as np
        import torch

        from augspec.kernels.drawing import box_rows

        rows = u.t().contiguous()
        area = self.area.sample(rows[:ATTEMPTS])
        aspect = self.aspect.sample(rows[ATTEMPTS : 2 * ATTEMPTS])
        sizes = np.array([size]) if isinstance(size, tuple) else size.numpy()
        boxes = rows.new_empty(len(_NAMES), len(u))
        code = rows.new_empty(len(u), len(_NAMES), dtype=torch.float32)
        box_rows(
            rows[-2:].numpy(),
            area.numpy(),
            aspect.numpy(),
            sizes,
            self.aspect.low,
            self.aspect.high,
            switch.contiguous().numpy(),
            gate,
            boxes.numpy(),
            code.numpy(),
        )
        return boxes, code

    def _fallback(self, size: Size) -> tuple[int, int]:
        """Height and width of the central box that torchvision takes when no attempt fits."""
        height, width = size
        if width / height < self.aspect.low:
            return max(round(width / self.aspect.low), 1), width
        if width / height > self.aspect.high:
            return height, max(round(height * self.aspect.high), 1)
        return height, width

    def _fallbacks(self, size: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """See `_fallback`, for a size of each sample, `(B,)` float64 each."""
        import torch

        height, width = size
        tall, wide = width / height < self.aspect.low, width / height > self.aspect.high
        low = (width / self.aspect.low).round().clamp(min=1)
        narrow = (height * self.aspect.high).round().clamp(min=1)
        return torch.where(tall, low, height), torch.where(wide, narrow, width)

    def nearest(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.nearest`: a box that is not too large is moved, and keeps its size."""
        return inside(params, SMALLEST)

    def edges(self, params: Parameters, size: Size) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Top, bottom, left and right of the box in pixels, each `(B,)` float64."""
        height, width = size
        y, x = params["center_y"] * height, params["center_x"] * width
        h, w = params["height"] * height / 2, params["width"] * width / 2
        top, bottom = (y - h).clamp(0, height), (y + h).clamp(0, height)
        left, right = (x - w).clamp(0, width), (x + w).clamp(0, width)
        return top, bottom, left, right

    def resample(self, params: Parameters, size: Sizes) -> Resample:
        """See `Op.resample`."""
        how = Filter[self.interpolation.upper()]
        return Resample(how, self.antialias, self.edges(params, (1, 1)))

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.resample import crop_resize

        height, width = x.shape[-2:]
        return crop_resize(
            x,
            *self.edges(params, (height, width)),
            pair(self.size),
            interpolation=self.interpolation,
            antialias=self.antialias,
        )

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`."""
        sy, sx = 1 / params["height"], 1 / params["width"]
        ty, tx = (1 - 2 * params["center_y"]) * sy, (1 - 2 * params["center_x"]) * sx
        return scale_and_shift(sx, tx, sy, ty)
