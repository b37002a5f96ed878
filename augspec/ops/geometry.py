"""What ops that move pixels have beyond the contract: a matrix, and rendering through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from augspec.ops.contract import Move, Op, Parameters, RandomOp, Rule, Size
from augspec.ops.effect import Effect

if TYPE_CHECKING:
    from torch import Tensor

Side = Annotated[int, Field(ge=1, le=100_000)]  # far beyond any image: no float overflows
Interpolation = Literal["nearest", "bilinear", "bicubic"]


class GeometricOp(Op):
    """An op that moves pixels by a projective map: it also has a matrix."""

    group: ClassVar[str] = "geometry"
    geometric: ClassVar[bool] = True

    projective: ClassVar[bool] = False
    """Whether parallel lines may come out at an angle: whether the last row of its matrix may be
    another than (0, 0, 1)."""

    def matrix(self, params: Parameters, size: Size, batch: int = 1) -> Tensor:
        """The map from points of the incoming image to points of the outgoing one.

        Points are (x, y, 1) in normalised coordinates: x to the right, y down, and -1 and 1 are the
        outer edges of the image (`align_corners=False` of `torch.nn.functional.grid_sample`).

        Args:
            params: one draw.
            size: the size of the images that reach the op.
            batch: B, for an op without parameters.

        Returns:
            `(B, 3, 3)` float64.
        """
        raise NotImplementedError

    def moves(self, params: Parameters, size: Size, batch: int = 1) -> list[Move]:
        """See `Op.moves`: its matrix, without the factor that it may have."""
        from augspec.kernels.group import normalized

        return [(normalized(self.matrix(params, size, batch)), self.output_size(size))]


class SizedOp(GeometricOp):
    """An op whose images come out in the size that its field `size` says."""

    if TYPE_CHECKING:
        size: int | Size  # each subclass has its own default and documentation

    keeps_size: ClassVar[bool] = False

    def output_size(self, size: Size) -> Size:
        """See `Op.output_size`."""
        return pair(self.size)

    def fixed_output_size(self) -> Size | None:
        """See `Op.fixed_output_size`."""
        return pair(self.size)


class WarpOp(RandomOp, GeometricOp):
    """An op that keeps the size and is rendered by resampling the image through its matrix.

    Subclasses give the parameters, `sample`, `active` and `matrix`.
    """

    interpolation: Literal["nearest", "bilinear"] = "bilinear"
    """How pixels in between are found."""

    fill: float = Field(default=0.0, ge=0.0, le=1.0)
    """Intensity of what comes from outside the image: 0 is black, 1 is white."""

    @property
    def effect(self) -> Effect:  # type: ignore[override]
        """See `Op.effect`."""
        return resampling(self.interpolation, self.fill)

    def commutes(self, other: Op) -> Rule:
        """See `Op.commutes`: with an op that only rearranges pixels, where the matrices do.

        With `nearest`, which of two equally near pixels is picked is not turned along: then the
        map must leave the axis of the flip alone, so that no two are.
        """
        if other.effect.places != "rearranges" or not isinstance(other, GeometricOp):
            return False
        axis = getattr(other, "axis", None)
        if self.interpolation == "bilinear":
            return lambda own, its: same_product(self, own, other, its)
        return axis is not None and (lambda own, its: self._leaves_alone(own, axis))

    def _leaves_alone(self, params: Parameters, axis: int) -> Tensor:
        """Where the map neither moves points along an axis, nor others by their place on it."""
        import torch

        from augspec.kernels.group import normalized

        # a flip keeps the shape of every image: what holds on a square holds on all
        m = normalized(self.matrix(params, (1, 1)))
        own, other = (0, 1) if axis == -1 else (1, 0)
        zero = [m[:, own, own].abs() - 1, m[:, own, other], m[:, own, 2], m[:, other, own]]
        zero += [m[:, 2, own], m[:, 2, other]]
        return (torch.stack(zero, dim=-1).abs() < ROUNDING).all(dim=-1)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.rows import where_rows
        from augspec.kernels.warp import warp

        height, width = x.shape[-2:]
        matrix = self.matrix(params, (height, width))
        view = warp(x, matrix, interpolation=self.interpolation, fill=self.fill)
        # resampling at the identity would round
        return where_rows(self.active(params), view, x)


SMALLEST = 1e-5
"""The least side of a box, relative to the image: a pixel of the largest image there is."""


def inside(params: Parameters, smallest: float) -> dict[str, Tensor]:
    """The nearest box that lies in the image.

    Args:
        params: `center_y`, `center_x`, `height` and `width`, relative to the image.
        smallest: the least height and width.
    """
    import torch

    found = {}
    for centre, side in (("center_y", "height"), ("center_x", "width")):
        length = params[side].clamp(smallest, 1.0)
        found[side] = length
        found[centre] = torch.minimum(torch.maximum(params[centre], length / 2), 1 - length / 2)
    return found


ROUNDING = 1e-12
"""How far the entries of equal matrices may be apart."""


def same_product(a: GeometricOp, own: Parameters, b: GeometricOp, its: Parameters) -> Tensor:
    """Where the matrices of two ops commute, on square images."""
    from augspec.kernels.group import compose

    first, second = a.matrix(own, (1, 1)), b.matrix(its, (1, 1))
    apart = compose(first, second) - compose(second, first)
    return (apart.abs() < ROUNDING).flatten(1).all(dim=1)


def resampling(interpolation: Interpolation, fill: float) -> Effect:
    """What sort of change `augspec.kernels.warp.resample` makes."""
    if interpolation == "nearest":
        return Effect("picks", paints=(fill,))
    return Effect("averages", paints=(0.0, fill))  # of what the weights lack, a part is black


def pair(size: int | Size) -> Size:
    """An `int` is a square."""
    return (size, size) if isinstance(size, int) else size


def affine_matrix(a: Any, b: Any, tx: Any, c: Any, d: Any, ty: Any) -> Tensor:
    """The matrices `(B, 3, 3)` of x' = a x + b y + tx, y' = c x + d y + ty, from `(B,)` float64."""
    import torch

    zero, one = torch.zeros_like(a), torch.ones_like(a)
    return torch.stack([a, b, tx, c, d, ty, zero, zero, one], dim=-1).unflatten(-1, (3, 3))


def scale_and_shift(sx: Any, tx: Any, sy: Any, ty: Any) -> Tensor:
    """The matrices `(B, 3, 3)` of x' = sx x + tx, y' = sy y + ty, from `(B,)` float64 tensors."""
    import torch

    zero = torch.zeros_like(sx)
    return affine_matrix(sx, zero, tx, zero, sy, ty)
