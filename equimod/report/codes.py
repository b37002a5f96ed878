"""The picture of views and their codes: what was done to an image, and how it was written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from equimod.report.style import DIVERGING, FAINT, INK, LABEL, MARGIN, SMALL, WIDTH, Canvas, bare

IMAGE = 1.2
"""Side of an image in inches."""
GAP = 0.12
HEADER = 0.55
CHARACTER = 0.064
"""Inches that a character of a column's name takes; the names stand upright."""
STRIP = (0.24, 0.76)
"""The part of a row's height that its heat strip takes."""


@dataclass(frozen=True)
class ViewSamples:
    """A few images with their views and codes.

    Attributes:
        images: originals `(n, H, W, 3)`, uint8 or in [0, 1].
        view_names: the augmented views' names.
        views: for each of them, `(n, h, w, 3)`, uint8 or in [0, 1], without normalisation.
        codes: for each of them, raw codes `(n, E)`.
        slot_names: the names of the E columns, `op.parameter` each.
    """

    images: NDArray[np.generic]
    view_names: Sequence[str]
    views: Sequence[NDArray[np.generic]]
    codes: Sequence[NDArray[np.floating]]
    slot_names: Sequence[str]

    def __post_init__(self) -> None:
        count = len(self.images)
        if not len(self.view_names) == len(self.views) == len(self.codes) > 0 or count == 0:
            raise ValueError(
                "an overview needs images, and a name, images and codes for each of its views: got "
                f"{count} images, {len(self.view_names)} names, {len(self.views)} views and "
                f"{len(self.codes)} codes"
            )
        expected = (count, len(self.slot_names))
        for name, view, code in zip(self.view_names, self.views, self.codes, strict=True):
            if len(view) != count or code.shape != expected:
                raise ValueError(
                    f"view {name!r}: {len(view)} images and codes {code.shape}, expected {count} "
                    f"images and codes {expected}"
                )


def height(samples: ViewSamples) -> float:
    """How many inches `draw_codes` needs."""
    names = CHARACTER * max(map(len, samples.slot_names), default=0)
    return HEADER + len(samples.images) * (IMAGE + GAP) + names + 0.35


def draw_codes(canvas: Canvas, top: float, samples: ViewSamples) -> None:
    """Draws a row for each image: the original, and each view beside its code.

    Args:
        canvas: where to draw.
        top: inches from the canvas's upper edge.
        samples: what to draw.
    """
    first = top + HEADER
    _images(canvas, MARGIN, first, samples.images, "original")
    block = (WIDTH - 2 * MARGIN - IMAGE) / len(samples.views)
    scale = np.abs(np.stack(samples.codes)).max(axis=(0, 1))
    for k, name in enumerate(samples.view_names):
        left = MARGIN + IMAGE + k * block + 0.35
        _images(canvas, left, first, samples.views[k], name)
        strip = left + IMAGE + 0.15
        width = MARGIN + IMAGE + (k + 1) * block - strip
        total = len(samples.images) * (IMAGE + GAP) - GAP
        axes = canvas.axes(strip, first, width, total)
        relative = samples.codes[k] / np.where(scale > 0, scale, 1.0)
        _strips(axes, relative, samples.slot_names, width)
        axes.set_title(f"code of {name}", loc="left", fontsize=LABEL, color=INK, pad=6)
    _colour_bar(canvas, top)


def _images(
    canvas: Canvas, left: float, top: float, images: NDArray[np.generic], name: str
) -> None:
    """One column of images with its name above."""
    for row, image in enumerate(images):
        axes = canvas.axes(left, top + row * (IMAGE + GAP), IMAGE, IMAGE)
        pixels = image if image.dtype == np.uint8 else np.clip(image.astype(float), 0, 1)
        # small images keep their pixels; large ones must not alias
        axes.imshow(pixels, interpolation="nearest" if image.shape[0] <= 64 else "antialiased")
        axes.set_anchor("N")
        bare(axes)
        if row == 0:
            axes.set_title(name, loc="left", fontsize=LABEL, color=INK, pad=6)


def _strips(axes: Axes, relative: NDArray[np.floating], names: Sequence[str], width: float) -> None:
    """One strip of E cells for each image, level with it, and the columns' names below."""
    rows, columns = relative.shape
    pitch = IMAGE + GAP
    for row in range(rows):
        y = [row * pitch + share * IMAGE for share in STRIP]
        axes.pcolormesh(
            np.arange(columns + 1),
            y,
            relative[row : row + 1],
            cmap=DIVERGING,
            vmin=-1,
            vmax=1,
            edgecolors=FAINT,
            linewidth=0.8,
        )
        for k in range(1, columns):
            if _op(names[k]) != _op(names[k - 1]):
                axes.plot([k, k], y, color=INK, linewidth=1.2)
    axes.set_xlim(0, columns)
    axes.set_ylim(rows * pitch - GAP, 0)
    points_per_column = 72 * width / columns
    axes.set_xticks(
        np.arange(columns) + 0.5,
        names,
        rotation=90,
        fontsize=min(SMALL, 0.85 * points_per_column),
        color=INK,
    )
    axes.tick_params(length=0, pad=-8)
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _op(column: str) -> str:
    return column.split(".", 1)[0]


def _colour_bar(canvas: Canvas, top: float) -> None:
    """What the colours mean, at the right of the header."""
    axes = canvas.axes(WIDTH - MARGIN - 2.2, top - 0.3, 2.2, 0.13)
    canvas.figure.colorbar(
        ScalarMappable(Normalize(-1, 1), DIVERGING),
        cax=axes,
        orientation="horizontal",
        ticks=[-1, 0, 1],
    )
    axes.set_xticklabels(["−1", "0: unchanged", "1"], fontsize=SMALL)  # noqa: RUF001
    axes.tick_params(length=2, pad=2)
    axes.set_title(
        "code / largest |code| of its column", loc="right", fontsize=SMALL, color=INK, pad=4
    )
