"""Erase a grid of squares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from augspec.encoding.codecs import Angle, Motion
from augspec.language.document import fault
from augspec.language.values import Constant, Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameters, RandomOp, Size
from augspec.ops.effect import Effect
from augspec.ops.parameter import NOT_NEGATIVE, Parameter

if TYPE_CHECKING:
    from torch import Tensor


ANYWHERE = Uniform(-0.5, 0.5)
"""Where a grid begins, in units."""


class CutoutGrid(RandomOp):
    """Erase a grid of square holes: GridMask (Chen et al., arXiv 2001.04086), not rotated.

    The plane is tiled by square units with a hole each, and moved by a random part of a unit. A
    pixel is erased where its centre lies in a hole, so the grid need not consist of whole pixels.
    """

    op: Literal["cutout_grid"] = "cutout_grid"

    unit: Annotated[Value, Within(0.0, 1.0, open_low=True)] = Uniform(0.3, 0.6)
    """Side of a unit as a fraction of the image's shorter side."""

    ratio: Annotated[Value, Within(0.0, 1.0, open_low=True)] = Constant(0.5)
    """Side of the hole relative to its unit, below 1. GridMask's own ratio r is what a unit keeps
    of its side: 1 minus this."""

    fill: float = Field(default=0.0, ge=0.0, le=1.0)
    """Intensity of the holes: 0 is black, 1 is white."""

    group: ClassVar[str] = "occlusion"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"p": 0.5, "fill": 0.5},
        {"unit": 0.5, "ratio": [0.1, 0.9]},
        {"unit": [0.1, 1.0], "ratio": 0.45},
    )
    draws: ClassVar[int] = 4
    not_invertible: ClassVar[str | None] = "what was erased is gone"
    # the holes grow where they will be
    motion_of: ClassVar[Mapping[str, Motion]] = {
        "unit": "holds",
        "offset_y": "holds",
        "offset_x": "holds",
    }

    @field_validator("ratio")
    @classmethod
    def _keeps_something(cls, ratio: Value) -> Value:
        if ratio.high >= 1:
            raise fault(f"must lie in (0, 1), or nothing is left of a unit, got {ratio.document()}")
        return ratio

    @property
    def effect(self) -> Effect:  # type: ignore[override]
        """See `Op.effect`."""
        return Effect("covers", paints=(self.fill,))

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The grid; where the ratio is 0, nothing is erased, and the rest is set to 0 too."""
        # offsets a whole unit apart are one grid: an angle in turns says so
        turn = 0.5 if self.p > 0 else 0.0
        return (
            self._parameter("unit", "shorter side", self.unit, NOT_NEGATIVE),
            self._parameter("ratio", "unit", self.ratio, (0.0, 1.0)),
            Parameter("offset_y", "unit", 0.0, -turn, turn, Angle(), False, ANYWHERE),
            Parameter("offset_x", "unit", 0.0, -turn, turn, Angle(), False, ANYWHERE),
        )

    def _parameter(
        self, name: str, unit: str, value: Value, possible: tuple[float, float]
    ) -> Parameter:
        low = value.low if self.p == 1 else 0.0
        high = value.high if self.p > 0 else 0.0
        return Parameter(
            name, unit, 0.0, low, high, differentiable=False, value=value, possible=possible
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`; offsets lie in (-1/2, 1/2], which is where codes place them."""
        return {
            "unit": self.unit.sample(u[:, 0]),
            "ratio": self.ratio.sample(u[:, 1]),
            "offset_y": Angle().snap(0.5 - u[:, 2]),
            "offset_x": Angle().snap(0.5 - u[:, 3]),
        }

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """Without holes there is no grid."""
        import torch

        on = self.active(params)
        return {name: torch.where(on, value, 0.0) for name, value in params.items()}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return (params["ratio"] > 0) & (params["unit"] > 0)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        import torch

        from augspec.kernels.masks import grid_mask

        height, width = x.shape[-2:]
        # Whether a pixel's centre lies in a hole is decided by the numbers that a float32 code
        # carries, so that a code and the draw that it is made of erase the same pixels.
        unit, ratio = (params[name].float().double() for name in ("unit", "ratio"))
        offset_y, offset_x = (Angle().snap(params[name]) for name in ("offset_y", "offset_x"))
        active = self.active(params)
        side = torch.where(active, unit * min(height, width), 1.0)
        holes = grid_mask(side, ratio, offset_y, offset_x, (height, width))
        return torch.where(holes & active.reshape(-1, 1, 1, 1), self.fill, x)
