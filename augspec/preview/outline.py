"""Which part of the image a view shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from augspec.compiler.geometry import straight, view_matrix
from augspec.compiler.plan import Plan
from augspec.kernels.warp import adjugate
from augspec.ops.contract import Size
from augspec.preview.sheet import scaled

Corners = tuple[tuple[float, float], ...]
"""Where a view's corners come from: top left, top right, bottom right and bottom left, each as
(x, y) in fractions of the image's sides."""

WHOLE: Corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
"""The corners of the image itself."""

_Point = tuple[float, float]
_Points = list[_Point]

_LINE, _DOT = 2, 6  # pixels
_BEYOND = 0.5  # of the image's sides, how far the margin around it goes at most
_OUTSIDE = "#dfe2e6"
_FINE = 4  # drawn larger and shrunk, so that slanted lines are smooth


def corners(plan: Plan, view: str, params: Mapping[str, Tensor], size: Size) -> Corners | None:
    """Where a view's corners come from.

    Args:
        plan: the plan.
        view: the view's name.
        params: one draw of the view, by `op.parameter`.
        size: the size of the image.

    Returns:
        None where no single map says it, since some op bends the image.
    """
    if not bool(straight(plan, params, view=view).all()):
        return None
    matrix = view_matrix(plan, params, size, view=view)
    square = torch.tensor([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], dtype=torch.float64)
    x, y, z = (square @ adjugate(matrix)[0].mT).unbind(-1)
    if bool((z.abs() < 1e-12).any()):  # a corner lies on the horizon
        return None
    points = (torch.stack([x / z, y / z], dim=-1) + 1) / 2
    return tuple((px, py) for px, py in points.tolist())


def outlined(image: Image.Image, corners: Corners, side: int) -> Image.Image:
    """The image as large as fits into a square, with an outline around what a view shows of it.

    What the view leaves out is paler, and a dot marks the view's upper left corner. Where a view
    reaches beyond the image, there is a margin.
    """
    whole, box = _with_margin(image, corners)
    shown = scaled(whole, side)
    fine = _FINE * shown.width / whole.width, _FINE * shown.height / whole.height
    left, top, right, bottom = (edge * fine[k % 2] for k, edge in enumerate(box))
    points = [(left + x * (right - left), top + y * (bottom - top)) for x, y in corners]
    inside = _mask(shown, lambda draw: draw.polygon(points, fill=255))
    found = Image.composite(shown, Image.blend(shown, _plain(shown, "white"), 0.6), inside)
    # drawn on the inner side, so that it is also seen along the image's own edges
    edge, dot = _inwards(points, _LINE), _inwards(points, _DOT + _LINE)[0]
    for colour, more in (("#1a1a1a", 1.5), ("white", 0.0)):  # one of the two is seen on any image
        found = Image.composite(
            _plain(shown, colour), found, _mask(shown, partial(_border, edge, dot, more))
        )
    return found


def _with_margin(
    image: Image.Image, corners: Corners
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """The image with room around it for corners beyond it, and the box that it has in there."""
    xs, ys = zip(*corners, strict=True)
    left, right = (_margin(beyond, image.width) for beyond in (-min(xs), max(xs) - 1))
    top, bottom = (_margin(beyond, image.height) for beyond in (-min(ys), max(ys) - 1))
    size = (left + image.width + right, top + image.height + bottom)
    whole = Image.new("RGB", size, _OUTSIDE)
    whole.paste(image, (left, top))
    return whole, (left, top, left + image.width, top + image.height)


def _margin(beyond: float, side: int) -> int:
    return round(side * min(max(beyond, 0.0), _BEYOND))


def _border(edge: _Points, dot: _Point, more: float, draw: ImageDraw.ImageDraw) -> None:
    """The outline and the dot, as much wider as `more` says, in pixels of the result."""
    draw.line([*edge, *edge[:2]], fill=255, width=round((_LINE + more) * _FINE), joint="curve")
    (x, y), radius = dot, (_DOT + more / 2) * _FINE
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _mask(like: Image.Image, paint: Callable[[ImageDraw.ImageDraw], None]) -> Image.Image:
    """What is painted, with smooth edges, in the size of an image."""
    mask = Image.new("L", (like.width * _FINE, like.height * _FINE), 0)
    paint(ImageDraw.Draw(mask))
    return mask.resize(like.size, Image.Resampling.BOX)


def _plain(like: Image.Image, colour: str) -> Image.Image:
    return Image.new("RGB", like.size, colour)


def _inwards(points: _Points, pixels: float) -> _Points:
    """Points so many pixels of the result nearer to their middle."""
    middle = (sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points))
    found = []
    for x, y in points:
        dx, dy = middle[0] - x, middle[1] - y
        part = min(1.0, pixels * _FINE / max(math.hypot(dx, dy), 1e-9))
        found.append((x + dx * part, y + dy * part))
    return found
