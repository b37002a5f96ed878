"""Draws the rendered data set: a shaded shape and its shadow on a textured background with blobs.

A picture is a function of uniform numbers and nothing else. Like the outlines, it is computed with
correctly rounded operations only and in a fixed order, so its bytes are the same on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from equimod.data.distances import F32, OUTLINES

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

PALETTE = {
    "red": (0.86, 0.13, 0.16),
    "orange": (0.97, 0.53, 0.07),
    "yellow": (0.96, 0.87, 0.20),
    "green": (0.16, 0.66, 0.25),
    "cyan": (0.12, 0.78, 0.83),
    "blue": (0.15, 0.30, 0.88),
    "purple": (0.55, 0.20, 0.78),
    "pink": (0.98, 0.50, 0.72),
}
BLOBS = 2
TEXTURE = 4  # cells of the background's texture along each side
UNIFORMS = (10 + (TEXTURE + 1) ** 2) + BLOBS * 7 + 11
"""How many uniform numbers a picture takes, besides one byte of noise per value."""


class _Draw:
    """Hands out the columns of `(n, UNIFORMS)` uniforms in turn, as `(n, 1, 1)` arrays."""

    def __init__(self, uniforms: F32) -> None:
        self._columns = iter(uniforms.T)

    def __call__(self, low: float, high: float) -> F32:
        u = next(self._columns)[:, None, None]
        return low + u * (high - low)

    def colour(self, low: float, high: float) -> F32:
        """Three columns as `(n, 3, 1, 1)`."""
        return np.stack([self(low, high) for _ in range(3)], axis=1)


def render(shapes: I64, colours: I64, uniforms: F32, noise: F32, size: int) -> U8:
    """Draws pictures.

    Args:
        shapes: `(n,)`, which of `OUTLINES`.
        colours: `(n,)`, which of `PALETTE`.
        uniforms: `(n, UNIFORMS)` float32 in [0, 1).
        noise: `(n, 3, size, size)` float32 in [-1, 1], the grain.
        size: side of the pictures in pixels.

    Returns:
        uint8 `(n, 3, size, size)`.
    """
    draw = _Draw(uniforms)
    line = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    x, y = line[None, None, :], line[None, :, None]
    picture = _background(draw, x, y)
    for _ in range(BLOBS):
        picture = _with_blob(draw, picture, x, y)
    picture = _with_shape(draw, picture, shapes, colours, x, y)
    picture += 0.03 * noise
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _background(draw: _Draw, x: F32, y: F32) -> F32:
    """A gradient between two dull colours, `(n, 3, H, W)`, made lighter and darker by smooth noise.

    Dull, because a method that tells images apart would otherwise learn their backgrounds and
    little of their shapes.
    """
    one, other = (draw(0.25, 0.75)[:, None] + draw.colour(-0.1, 0.1) for _ in range(2))
    along = np.clip(0.5 + draw(-0.6, 0.6) * x + draw(-0.6, 0.6) * y, 0, 1)[:, None]
    cells = TEXTURE + 1
    grid = np.concatenate([draw(0.85, 1.15) for _ in range(cells * cells)], axis=1)
    grid = grid.reshape(-1, cells, cells)
    rows = _between(grid, y.ravel(), axis=1)
    return (one + (other - one) * along) * _between(rows, x.ravel(), axis=2)[:, None]


def _between(grid: F32, at: F32, axis: int) -> F32:
    """Interpolates `grid` linearly along an axis that spans [-1, 1]."""
    position = (at + 1) * (TEXTURE / 2)
    low = np.clip(position.astype(np.int64), 0, TEXTURE - 1)
    share = (position - low.astype(np.float32)).reshape((-1, 1) if axis == 1 else (1, -1))
    below, above = np.take(grid, low, axis), np.take(grid, low + 1, axis)
    return below + (above - below) * share


def _with_blob(draw: _Draw, picture: F32, x: F32, y: F32) -> F32:
    """Lays a soft-edged ellipse, of a dulled colour of the palette, over the picture."""
    centre_x, centre_y = draw(-1, 1), draw(-1, 1)
    width, height = draw(0.2, 0.6), draw(0.2, 0.6)
    index = draw(0, len(PALETTE)).astype(np.int64).ravel()
    colour = (0.35 + 0.3 * _palette(index)) * draw(0.8, 1.2)[:, None]
    across, down = (x - centre_x) / width, (y - centre_y) / height
    bump: F32 = np.clip(1 - across * across - down * down, 0, 1)
    return picture + (colour - picture) * (bump * draw(0.5, 1))[:, None]


def _with_shape(draw: _Draw, picture: F32, shapes: I64, colours: I64, x: F32, y: F32) -> F32:
    """Lays the shaded shape and its shadow over the picture."""
    radius = draw(0.42, 0.68)
    reach = 0.95 - radius
    x, y = x - draw(-1, 1) * reach, y - draw(-1, 1) * reach
    cosine, sine = _turn(draw(-0.3, 0.3))  # within 33 degrees of upright
    own_x, own_y = (cosine * x - sine * y) / radius, -(sine * x + cosine * y) / radius
    distance = np.empty(own_x.shape, np.float32)
    for index, outline in enumerate(OUTLINES.values()):
        rows = shapes == index
        distance[rows] = outline(own_x[rows], own_y[rows])
    distance *= radius

    tint = draw.colour(-0.04, 0.04)
    grey = draw(0, 0.2)[:, None]
    colour = _palette(colours) * draw(0.8, 1.08)[:, None] + tint
    colour = colour + (0.5 - colour) * grey
    light = (draw(-0.4, 0.4) * x + draw(-0.4, 0.4) * y) / radius
    rim = 0.7 + 0.3 * np.clip(-distance / 0.12, 0, 1)
    shadow = np.clip(1 - distance / 0.25, 0, 1)
    picture = picture * (1 - 0.55 * shadow * shadow)[:, None]
    covered = np.clip(0.5 - distance * (x.shape[-1] / 2), 0, 1)[:, None]
    return picture + (colour * ((1 + light) * rim)[:, None] - picture) * covered


def _turn(half_tangent: F32) -> tuple[F32, F32]:
    """Cosine and sine of the angle 2 atan(half_tangent), without a trigonometric function."""
    square = half_tangent * half_tangent
    return (1 - square) / (1 + square), 2 * half_tangent / (1 + square)


def _palette(index: I64) -> F32:
    """Colours of the palette as `(n, 3, 1, 1)`."""
    return np.array(list(PALETTE.values()), np.float32)[index][:, :, None, None]
