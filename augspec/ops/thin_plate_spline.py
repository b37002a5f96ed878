"""Warp by a thin plate spline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from augspec.language.values import Uniform
from augspec.ops.contract import Parameters, RandomOp, Size
from augspec.ops.effect import Effect
from augspec.ops.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor

POINTS = range(1, 6)
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
"""Where the points 1 to 4 are, as (x, y) from the middle."""
DX, DY = tuple(f"dx_{n}" for n in POINTS), tuple(f"dy_{n}" for n in POINTS)


class ThinPlateSpline(RandomOp):
    """Warp smoothly by moving the corners and the middle, as Kornia's `RandomThinPlateSpline`.

    The points 1 to 5 are the upper left, lower left, upper right and lower right corner and the
    middle of the image. Each moves by a uniform amount in both directions, and what lies between
    them follows a thin plate spline (Bookstein, PAMI 1989).
    """

    op: Literal["thin_plate_spline"] = "thin_plate_spline"

    scale: float = Field(default=0.2, ge=0.0, le=0.5)
    """The largest displacement of a point in each direction, in half widths and half heights. From
    0.5 on, points could meet and the image fold."""

    fill: float = Field(default=0.0, ge=0.0, le=1.0)
    """Intensity of what comes from outside the image: 0 is black, 1 is white."""

    group: ClassVar[str] = "geometry"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"p": 0.5, "scale": 0.5},
        {"scale": 0.05, "fill": 0.5},
    )
    draws: ClassVar[int] = 10
    limits: ClassVar[str | None] = "no corner may meet the middle"
    not_invertible: ClassVar[str | None] = "resampling loses detail"

    @property
    def effect(self) -> Effect:  # type: ignore[override]
        """See `Op.effect`."""
        return Effect("averages", paints=(self.fill,))

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """The displacements of the five points: dx_1, dy_1, dx_2 ..., to the right and down."""
        high = self.scale if self.p > 0 else 0.0
        drawn = Uniform(-self.scale, self.scale)
        found = []
        for dx, dy in zip(DX, DY, strict=True):
            for name, unit in ((dx, "half width"), (dy, "half height")):
                found.append(
                    Parameter(name, unit, 0.0, -high, high, value=drawn, possible=(-0.5, 0.5))
                )
        return tuple(found)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        moves = (2 * u - 1) * self.scale
        names = [name for point in zip(DX, DY, strict=True) for name in point]
        return dict(zip(names, moves.unbind(1), strict=True))

    def nearest(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.nearest`: a corner that reaches the middle makes a spline without a solution."""
        import torch

        found = super().nearest(params)
        meets = torch.zeros_like(found[DX[0]], dtype=torch.bool)
        for n, (x, y) in enumerate(CORNERS):
            apart_x = x + found[DX[n]] - found[DX[-1]]
            apart_y = y + found[DY[n]] - found[DY[-1]]
            meets |= torch.maximum(apart_x.abs(), apart_y.abs()) < 1e-6
        return {name: torch.where(meets, move * (1 - 1e-5), move) for name, move in found.items()}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        import torch

        moves = torch.stack([params[name] for name in (*DX, *DY)], dim=-1)
        return (moves != 0).any(dim=-1)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        import torch

        from augspec.kernels.displacement import thin_plate_spline
        from augspec.kernels.rows import where_rows

        dx = torch.stack([params[name] for name in DX], dim=-1)
        dy = torch.stack([params[name] for name in DY], dim=-1)
        view = thin_plate_spline(x, dx, dy, self.fill)
        return where_rows(self.active(params), view, x)  # resampling at the identity would round
