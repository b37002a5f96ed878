"""Pad, and crop from what is padded, with torchvision's pixels and a box for each sample."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

PadMode = Literal["constant", "reflect", "edge", "symmetric"]


def pad(x: Tensor, margins: tuple[int, int, int, int], mode: PadMode, fill: float = 0.0) -> Tensor:
    """Pad all images alike.

    Args:
        x: `(B, C, H, W)`.
        margins: pixels to add at the left, top, right and bottom, >= 0.
        mode: what to add: `fill`, or the image mirrored about its outermost pixels (`reflect`) or
            about its edges (`symmetric`), or those pixels repeated (`edge`).
        fill: intensity for `constant`.

    Returns:
        `(B, C, top + H + bottom, left + W + right)`.

    Raises:
        ValueError: the image is too small to be mirrored that far.
    """
    _check_margins(margins, mode, (x.shape[-2], x.shape[-1]))
    left, top, right, bottom = margins
    if mode == "symmetric":
        height, width = x.shape[-2:]
        rows = torch.arange(-top, height + bottom, device=x.device)
        columns = torch.arange(-left, width + right, device=x.device)
        wide = x.index_select(3, _source(columns, width, mode))
        return wide.index_select(2, _source(rows, height, mode))
    amounts = (left, right, top, bottom)  # PyTorch's order
    if mode == "constant":
        return F.pad(x, amounts, value=fill)
    return F.pad(x, amounts, mode="replicate" if mode == "edge" else mode)


def crop_padded(
    x: Tensor,
    top: Tensor,
    left: Tensor,
    size: tuple[int, int],
    margins: tuple[int, int, int, int],
    mode: PadMode,
    fill: float = 0.0,
) -> Tensor:
    """Cut a box of whole pixels out of each padded image, without making the padded images.

    Args:
        x: `(B, C, H, W)`.
        top: `(B,)` int64, the first row of each box, counted from the image's first row: padding
            has negative numbers. Boxes that leave the padded image are not checked for.
        left: `(B,)` int64, the first column.
        size: height and width of the boxes in pixels.
        margins: how far the images are padded; see `pad`.
        mode: how they are padded; see `pad`.
        fill: intensity for `constant`.

    Returns:
        `(B, C, *size)`, the very pixels of the images.

    Raises:
        ValueError: the padded image is smaller than a box, or the image too small to be mirrored
            that far.
    """
    height, width = x.shape[-2:]
    _check_margins(margins, mode, (height, width))
    padded_height = margins[1] + height + margins[3]
    padded_width = margins[0] + width + margins[2]
    if size[0] > padded_height or size[1] > padded_width:
        raise ValueError(
            f"a box of {size[0]}x{size[1]} pixels does not fit into a padded image of "
            f"{padded_height}x{padded_width}"
        )
    rows = top.unsqueeze(1) + torch.arange(size[0], device=x.device)
    columns = left.unsqueeze(1) + torch.arange(size[1], device=x.device)
    row, column = _source(rows, height, mode), _source(columns, width, mode)
    index = (row.unsqueeze(2) * width + column.unsqueeze(1)).flatten(1)
    pixels = x.flatten(2).gather(2, index.unsqueeze(1).expand(-1, x.shape[1], -1))
    view = pixels.unflatten(2, size)
    if mode != "constant" or not any(margins):
        return view
    inside = ((row == rows).unsqueeze(2) & (column == columns).unsqueeze(1)).unsqueeze(1)
    return torch.where(inside, view, fill)


def _check_margins(
    margins: tuple[int, int, int, int], mode: PadMode, size: tuple[int, int]
) -> None:
    """Refuse to mirror further than the image reaches."""
    if mode in ("constant", "edge"):
        return
    spare = 1 if mode == "reflect" else 0
    left, top, right, bottom = margins
    for name, side, most in zip(
        ("height", "width"), size, (max(top, bottom), max(left, right)), strict=True
    ):
        if most > side - spare:
            raise ValueError(
                f"{mode} padding of {most} pixels is too much for an image whose {name} is "
                f"{side}; allowed: up to {side - spare}"
            )


def _source(position: Tensor, side: int, mode: PadMode) -> Tensor:
    """The pixel of an axis, int64 in [0, side), that a position on the padded axis shows."""
    last = side - 1
    if mode == "reflect":
        position = last - (last - position.abs()).abs()
    elif mode == "symmetric":
        position = torch.where(position < 0, -1 - position, position)
        position = torch.where(position > last, 2 * last + 1 - position, position)
    return position.clamp(0, last)
