"""Sizes of images: one for all samples of a batch, or one for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from augspec.ops.contract import Op, Size

Sizes: TypeAlias = "tuple[int, int] | Tensor"
"""Height and width of all images, or `(B, 2)` int64 on the CPU: those of each."""


def sides(size: Sizes, like: Tensor) -> tuple[Any, Any]:
    """Height and width to calculate with.

    Args:
        size: of the images.
        like: gives the device.

    Returns:
        Two whole numbers, or two tensors `(B,)` float64 where the images have sizes of their own.
    """
    if isinstance(size, tuple):
        return size
    height, width = size.to(like.device, like.dtype, non_blocking=True).unbind(-1)
    return height, width


def shorter_side(size: Sizes, like: Tensor) -> Any:
    """The shorter of both `sides`: a number, or `(B,)` float64."""
    if isinstance(size, tuple):
        return min(size)
    return size.amin(dim=-1).to(like.device, like.dtype, non_blocking=True)


def common(sizes: Tensor) -> Sizes:
    """The one size of all images where they are equal, else the sizes as they are."""
    if not len(sizes):
        return 1, 1  # of no images, one size is as true as another
    if bool((sizes == sizes[0]).all()):
        height, width = sizes[0].tolist()
        return height, width
    return sizes


def leaving(op: Op, size: Sizes) -> Sizes:
    """The sizes of the images that leave an op, for those that reach it."""
    if isinstance(size, tuple):
        return op.output_size(size)
    fixed = op.fixed_output_size()
    if fixed is not None:
        return fixed
    if op.keeps_size:
        return size
    distinct, which = size.unique(dim=0, return_inverse=True)
    left = [op.output_size((height, width)) for height, width in distinct.tolist()]
    return common(distinct.new_tensor(left).reshape(-1, 2)[which])


def size_by_size(
    sample: Callable[[Tensor, Size], dict[str, Tensor]], u: Tensor, sizes: Tensor
) -> dict[str, Tensor]:
    """Draws the samples of each size together.

    Args:
        sample: draws samples of one size, as `Op.sample`.
        u: `(B, draws)` float64 in (0, 1).
        sizes: `(B, 2)` int64 on the CPU.

    Returns:
        What each sample would get by itself.
    """
    distinct, which = sizes.unique(dim=0, return_inverse=True)
    found: dict[str, Tensor] = {}
    for number, (height, width) in enumerate(distinct.tolist()):
        rows = (which == number).nonzero().squeeze(1).to(u.device)
        for name, value in sample(u[rows], (height, width)).items():
            whole = found.setdefault(name, value.new_empty(len(u)))
            whole[rows] = value
    return found
