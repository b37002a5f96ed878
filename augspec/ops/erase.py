"""Erase a random box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from augspec.encoding.codecs import Linear, Motion
from augspec.language.codes import Code
from augspec.language.document import Fault
from augspec.language.values import LogUniform, Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Incoming, Parameters, RandomOp, Size
from augspec.ops.effect import Effect
from augspec.ops.geometry import inside
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor

ATTEMPTS = 10  # torchvision's RandomErasing erases nothing after as many boxes that do not fit


class Erase(RandomOp):
    """Erase a random box, as `torchvision.transforms.v2.RandomErasing`.

    Zhong et al., arXiv 1708.04896. Boxes are drawn as torchvision draws them: on the pixel grid, by
    area and aspect ratio, up to ten attempts for one that is smaller than the image on both sides;
    after that, nothing is erased. torchvision's users often erase after normalising, where 0 is
    the mean colour; here images lie in [0, 1], and 0 is black.
    """

    op: Literal["erase"] = "erase"

    area: Annotated[Value, Within(0.0, 1.0, open_low=True)] = Uniform(0.02, 0.33)
    """Area of the box as a fraction of the image's (torchvision's `scale`)."""

    aspect: Annotated[Value, Within(0.0, open_low=True)] = LogUniform(0.3, 3.3)
    """Width over height of the box in pixels, as in `resized_crop`. torchvision's `ratio` is height
    over width here: its [a, b] is `{log_uniform: [1/b, 1/a]}`. A plain pair is uniform."""

    fill: float = Field(default=0.0, ge=0.0, le=1.0)
    """Intensity of the box: 0 is black, 1 is white (torchvision's `value`)."""

    group: ClassVar[str] = "occlusion"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"p": 0.5, "fill": 0.5},
        {"area": [0.5, 1.0], "aspect": [0.5, 2.0]},
        {"area": 0.001, "aspect": {"choice": [0.01, 100]}},
        {"p": 0.0},
    )
    one_size: ClassVar[bool] = True
    draws: ClassVar[int] = 2 * ATTEMPTS + 2
    limits: ClassVar[str | None] = "the box must lie in the image"
    not_invertible: ClassVar[str | None] = "what was erased is gone"
    # the box grows where it will be
    motion_of: ClassVar[Mapping[str, Motion]] = {"center_y": "holds", "center_x": "holds"}

    @property
    def effect(self) -> Effect:  # type: ignore[override]
        """See `Op.effect`."""
        return Effect("covers", paints=(self.fill,))

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Centre and size of the box, relative to the image; an empty box erases nothing."""
        if self.p == 0:
            start, end, high_height, high_width = 0.5, 0.5, 0.0, 0.0
        else:
            start, end = 0.0, 1.0
            high_height, high_width = self._largest(size)  # type: ignore[assignment]
        return (
            self._part("center_y", "image height", 0.5, start, end),
            self._part("center_x", "image width", 0.5, start, end),
            self._part("height", "image height", 0.0, 0.0, high_height),
            self._part("width", "image width", 0.0, 0.0, high_width),
        )

    @staticmethod
    def _part(name: str, unit: str, identity: float, low: float, high: float | None) -> Parameter:
        codec, possible = Linear(identity), (0.0, 1.0)
        return Parameter(name, unit, identity, low, high, codec, False, possible=possible)

    def _largest(self, size: Size | None) -> tuple[float | None, float | None]:
        """The largest height and width that a draw can give, relative to the image."""
        if size is None:
            return None, None
        height, width = size
        area = self.area.high * height * width
        h = min(round((area / self.aspect.low) ** 0.5), height - 1)
        w = min(round((area * self.aspect.high) ** 0.5), width - 1)
        return h / height, w / width

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`; uniforms: ten areas, ten aspect ratios, then top and left."""
        import torch

        height, width = size
        area = self.area.sample(u[:, :ATTEMPTS]) * (height * width)
        aspect = self.aspect.sample(u[:, ATTEMPTS : 2 * ATTEMPTS])
        h, w = (area / aspect).sqrt().round(), (area * aspect).sqrt().round()
        fits = (h < height) & (w < width)
        first = fits.int().argmax(dim=1, keepdim=True)
        h, w = h.gather(1, first)[:, 0], w.gather(1, first)[:, 0]
        top = (u[:, -2] * (height - h + 1)).floor()
        left = (u[:, -1] * (width - w + 1)).floor()
        # a box that rounds to no rows erases nothing, as in torchvision
        found = fits.any(dim=1) & (h > 0) & (w > 0)
        return {
            "center_y": torch.where(found, (top + h / 2) / height, 0.5),
            "center_x": torch.where(found, (left + w / 2) / width, 0.5),
            "height": torch.where(found, h / height, 0.0),
            "width": torch.where(found, w / width, 0.0),
        }

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """A box without pixels has no place and no size."""
        import torch

        on = self.active(params)
        none = {"center_y": 0.5, "center_x": 0.5, "height": 0.0, "width": 0.0}
        return {name: torch.where(on, params[name], value) for name, value in none.items()}

    def nearest(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.nearest`: a box that is not too large is moved, and keeps its size."""
        return inside(params, 0.0)

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return (params["height"] > 0) & (params["width"] > 0)

    def box(self, params: Parameters, size: Size) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Top, left, height and width in whole pixels, each `(B,)` float64.

        Rounding undoes that of float32 codes; on another resolution it gives the nearest box.
        """
        height, width = size
        h, w = (params["height"] * height).round(), (params["width"] * width).round()
        top = (params["center_y"] * height - h / 2).round()
        return top, (params["center_x"] * width - w / 2).round(), h, w

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        import torch

        from augspec.kernels.masks import box_mask

        size = (x.shape[-2], x.shape[-1])
        return torch.where(box_mask(*self.box(params, size), size), self.fill, x)

    def faults(self, incoming: Incoming) -> list[Fault]:
        """Boxes of which none can be smaller than the image on both sides."""
        if incoming.size is None or self.p == 0:
            return []
        height, width = incoming.size
        area = self.area.low * height * width
        # height and width are rounded: half a pixel less than the side is the most they may be
        lowest = max(area / (height - 0.5) ** 2, self.aspect.low)
        if lowest <= min((width - 0.5) ** 2 / area, self.aspect.high):
            return []
        message = f"no box of this area and aspect is smaller than an image of {height}x{width}: "
        return [Fault(("area",), message + "nothing is ever erased", Code.NEVER_ACTS)]
