"""See the image from an angle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from augspec.encoding.codecs import Linear
from augspec.language.values import Uniform
from augspec.ops.contract import Parameters, Size
from augspec.ops.geometry import WarpOp
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor

CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")
NAMES = tuple(f"{corner}_{axis}" for corner in CORNERS for axis in ("x", "y"))


class Perspective(WarpOp):
    """Move each corner inwards by itself, as `torchvision.transforms.v2.RandomPerspective`.

    Each corner moves by a uniform part of up to `distortion` halves of the width and of the height.
    torchvision draws whole pixels, and its right and bottom corners lie one pixel inside the image;
    here the shifts are continuous and the corners are those of the image, so that a code means the
    same at every resolution. `p` is 1 by default, and not one half.
    """

    op: Literal["perspective"] = "perspective"

    distortion: float = Field(default=0.5, ge=0.0, le=1.0)
    """How far the corners may move: 1 is up to the centre of the image."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"distortion": 0.2, "p": 0.5, "fill": 0.5},
        {"distortion": 1.0},
        {"distortion": 0.3, "interpolation": "nearest"},
    )
    draws: ClassVar[int] = 8
    not_invertible: ClassVar[str | None] = "fine detail is gone where the image shrinks"
    projective: ClassVar[bool] = True

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """How far each corner moves inwards along each axis, relative to the image's sides."""
        high = self.distortion / 2 if self.p > 0 else 0.0
        smooth = self.interpolation == "bilinear"
        drawn = Uniform(0.0, self.distortion / 2)
        possible = (0.0, 0.5)  # beyond the middle, corners would change places
        return tuple(
            Parameter(name, unit, 0.0, 0.0, high, Linear(), smooth, drawn, None, possible)
            for name, unit in zip(NAMES, ("width", "height") * 4, strict=True)
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        shifts = u * (self.distortion / 2)
        return dict(zip(NAMES, shifts.unbind(-1), strict=True))

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return (self._shifts(params) != 0).flatten(1).any(dim=1)

    def corners(self, params: Parameters) -> Tensor:
        """Where the four corners go: `(B, 4, 2)`, (x, y) as fractions of the image's sides."""
        import torch

        x, y = self._shifts(params).unbind(-1)
        x0, x1, x2, x3 = x.unbind(-1)
        y0, y1, y2, y3 = y.unbind(-1)
        xs = torch.stack([x0, 1 - x1, 1 - x2, x3], dim=-1)
        return torch.stack([xs, torch.stack([y0, y1, 1 - y2, 1 - y3], dim=-1)], dim=-1)

    def _shifts(self, params: Parameters) -> Tensor:
        """How far the corners move inwards, `(B, 4, 2)`."""
        import torch

        return torch.stack([params[name] for name in NAMES], dim=-1).unflatten(-1, (4, 2))

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """See `GeometricOp.matrix`; up to a factor."""
        from augspec.kernels.homography import from_corners

        return from_corners(self.corners(params))
