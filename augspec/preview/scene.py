"""The built-in test image: a small drawn scene that shows what ops do, and needs no file.

It has what augmentations act on: left and right differ (flips), straight edges and text-like detail
(blur, resampling, warps), saturated colours of many hues and a gray scale (colour ops, solarize),
and something in every corner (crops).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

_COOL = ("#2e9e5b", "#1b6ca8", "#7b2d8b")
_FINE = 4  # drawn larger and shrunk, so that edges are smooth at any size


@dataclass(frozen=True)
class _Pen:
    """Draws in hundredths of the side."""

    on: ImageDraw.ImageDraw
    unit: float

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, fill: str) -> None:
        self.on.ellipse(self._scaled(x0, y0, x1, y1), fill=fill)

    def wedge(self, x0: float, y0: float, x1: float, y1: float, start: int, fill: str) -> None:
        """Half of an ellipse, clockwise from the angle `start`."""
        box = self._scaled(x0, y0, x1, y1)
        self.on.pieslice((box[0], box[1], box[2], box[3]), start, start + 180, fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: str) -> None:
        self.on.rectangle(self._scaled(x0, y0, x1, y1), fill=fill)

    def polygon(self, *xy: float, fill: str) -> None:
        self.on.polygon(self._scaled(*xy), fill=fill)

    def line(self, *xy: float, fill: str) -> None:
        self.on.line(self._scaled(*xy), fill=fill, width=max(1, round(self.unit / 2)))

    def _scaled(self, *xy: float) -> list[float]:
        return [value * self.unit for value in xy]


def scene(height: int, width: int) -> Image.Image:
    """The test image, RGB; the same pixels on every machine."""
    side = max(height, width)
    image = _sky(side * _FINE)
    pen = _Pen(ImageDraw.Draw(image), side * _FINE / 100)
    pen.ellipse(70, 6, 90, 26, fill="#ffd03c")
    pen.polygon(0, 72, 22, 44, 40, 60, 62, 34, 100, 74, 100, 100, 0, 100, fill="#7d8fb3")
    pen.polygon(62, 34, 54.5, 43, 60, 41.5, 63.5, 44.5, 70, 41.5, fill="#f4f7fb")
    pen.ellipse(-30, 64, 80, 150, fill="#56a048")
    pen.ellipse(40, 72, 150, 160, fill="#347c3e")
    _balloon(pen)
    _house(pen)
    _scales(pen)
    small = image.resize((side, side), Image.Resampling.BOX)
    left, top = (side - width) // 2, (side - height) // 2
    return small.crop((left, top, left + width, top + height))


def _sky(side: int) -> Image.Image:
    """A sky that gets lighter downwards."""
    rows = np.linspace(0.0, 1.0, side)[:, None, None]
    top, bottom = np.array([58.0, 120.0, 205.0]), np.array([214.0, 232.0, 246.0])
    pixels = np.broadcast_to(top + (bottom - top) * rows, (side, side, 3))
    return Image.fromarray(pixels.round().astype(np.uint8))


def _balloon(pen: _Pen) -> None:
    """A striped hot-air balloon on the left; ever narrower half ellipses make the stripes."""
    pen.line(20, 44, 24, 56, fill="#4a3524")
    pen.line(34, 44, 30, 56, fill="#4a3524")
    for start, colours in ((90, ("#d7263d", "#f46036", "#ffd23f")), (270, _COOL)):
        for colour, part in zip(colours, (1.0, 0.62, 0.22), strict=True):
            pen.wedge(27 - 17 * part, 10, 27 + 17 * part, 46, start, fill=colour)
    pen.box(23, 55, 31, 61, fill="#8a5a2b")


def _house(pen: _Pen) -> None:
    """A house with a roof, a door, and windows of thin bars on the right."""
    pen.box(58, 62, 86, 88, fill="#f2e3c6")
    pen.polygon(54, 63, 72, 48, 90, 63, fill="#b5412f")
    pen.box(78, 46, 82, 57, fill="#8f3325")
    pen.box(68, 74, 76, 88, fill="#5b3a29")
    for x in (60.5, 78.5):
        pen.box(x, 67, x + 5.5, 73, fill="#3fb8d6")
        pen.box(x + 2.4, 67, x + 3.1, 73, fill="#ffffff")
        pen.box(x, 69.6, x + 5.5, 70.3, fill="#ffffff")


def _scales(pen: _Pen) -> None:
    """A gray scale and a checkerboard along the lower edge."""
    for k in range(8):
        level = round(255 * k / 7)
        pen.box(4 + 5 * k, 91, 9 + 5 * k, 97, fill=f"#{level:02x}{level:02x}{level:02x}")
    for row in range(3):
        for column in range(10):
            shade = "#141414" if (row + column) % 2 else "#f0f0f0"
            x, y = 76 + 2 * column, 91 + 2 * row
            pen.box(x, y, x + 2, y + 2, fill=shade)
