"""What ops that move pixels have beyond the contract: a matrix, and rendering through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from augspec.ops.contract import Op, Parameters, RandomOp, Size

if TYPE_CHECKING:
    from torch import Tensor

Side = Annotated[int, Field(ge=1, le=100_000)]  # far beyond any image: no float overflows
Interpolation = Literal["nearest", "bilinear", "bicubic"]


class GeometricOp(Op):
    """An op that moves pixels by a projective map: it also has a matrix."""

    group: ClassVar[str] = "geometry"

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

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.rows import where_rows
        from augspec.kernels.warp import warp

        height, width = x.shape[-2:]
        matrix = self.matrix(params, (height, width))
        view = warp(x, matrix, interpolation=self.interpolation, fill=self.fill)
        # resampling at the identity would round
        return where_rows(self.active(params), view, x)


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
