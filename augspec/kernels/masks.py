"""Regions of an image, as masks for each sample: whole-pixel boxes, and grids of square holes."""

import torch
from torch import Tensor


def box_mask(
    top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: tuple[int, int]
) -> Tensor:
    """Which pixels lie in each sample's box.

    Args:
        top: `(B,)`, the box's first row, a whole number.
        left: `(B,)`, its first column.
        height: `(B,)`, its rows; a box of none holds no pixel.
        width: `(B,)`, its columns.
        size: height and width of the images in pixels.

    Returns:
        `(B, 1, H, W)` bool.
    """
    rows = _between(torch.arange(size[0], device=top.device), top, height)
    columns = _between(torch.arange(size[1], device=top.device), left, width)
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)


def _between(position: Tensor, start: Tensor, count: Tensor) -> Tensor:
    start, count = start.unsqueeze(1), count.unsqueeze(1)
    return (position >= start) & (position < start + count)


def grid_mask(
    unit: Tensor, ratio: Tensor, offset_y: Tensor, offset_x: Tensor, size: tuple[int, int]
) -> Tensor:
    """Which pixels have their centre in a hole of each sample's grid.

    GridMask (Chen et al., arXiv 2001.04086): the plane is tiled by square units, each with a square
    hole at its upper left.

    Args:
        unit: `(B,)` float64, side of a unit in pixels, > 0; it need not be whole.
        ratio: `(B,)`, side of a hole relative to the unit, in [0, 1).
        offset_y: `(B,)`, how far the grid is moved down, in units; whole units do not matter.
        offset_x: `(B,)`, how far it is moved to the right.
        size: height and width of the images in pixels.

    Returns:
        `(B, 1, H, W)` bool.
    """
    rows = _in_hole(unit, ratio, offset_y, size[0])
    columns = _in_hole(unit, ratio, offset_x, size[1])
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)


def _in_hole(unit: Tensor, ratio: Tensor, offset: Tensor, side: int) -> Tensor:
    """Which of `side` pixels along an axis `(B, side)` lie in the row or column of a hole."""
    centre = torch.arange(side, dtype=unit.dtype, device=unit.device) + 0.5
    # offsets a whole unit apart become one number first: the subtraction then rounds alike
    offset = offset - offset.floor()
    place = centre / unit.unsqueeze(1) - offset.unsqueeze(1)
    return place - place.floor() < ratio.unsqueeze(1)
