"""How figures look: a palette that colour-blind readers can tell apart, sizes, and a canvas."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from equimod.report.results import RunSummary

DPI = 100
WIDTH = 16.0
"""Inches; 1600 pixels."""
MARGIN = 0.55
"""Inches left and right."""

LEGEND_LINE = 0.28
"""Inches between the legend's lines."""
CHARACTER = 0.095
"""Inches that a character of the legend takes."""

INK = "#222222"
FAINT = "#d9d9d9"
TITLE, LABEL, SMALL = 13.0, 11.0, 9.5
"""Font sizes in points."""

ARM_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442")
"""Okabe & Ito, Color Universal Design (2008), without black."""
MORE_COLOURS = ("#882255", "#44AA99", "#332288", "#999933", "#AA4499", "#661100", "#117733")
"""For further arms: of Paul Tol's muted scheme (2021), what is not like one of the others."""
BASELINE_COLOURS = ("#c4c4c4", "#8c8c8c", "#5e5e5e")
DIVERGING = LinearSegmentedColormap.from_list("codes", ("#2166ac", "#f7f7f7", "#b2182b"))
"""Red and blue differ to every common kind of colour vision; white is zero."""


def row_colours(summary: RunSummary) -> dict[str, str]:
    """A colour for each row: greys for baselines, the palette, in turn, for arms."""
    untrained = len(summary.baselines)
    cycle = [BASELINE_COLOURS[k % len(BASELINE_COLOURS)] for k in range(untrained)]
    colours = ARM_COLOURS + MORE_COLOURS
    cycle += [colours[k % len(colours)] for k in range(len(summary.arms))]
    return dict(zip(summary.row_names, cycle, strict=True))


@dataclass(frozen=True)
class Canvas:
    """A figure that is laid out in inches from its upper left corner.

    Attributes:
        figure: the figure.
        height: its height in inches.
    """

    figure: Figure
    height: float

    @classmethod
    def blank(cls, height: float) -> Canvas:
        """An empty white figure, `WIDTH` inches wide."""
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
        return cls(figure, height)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes whose box has this place and size."""
        bottom = self.height - top - height
        return self.figure.add_axes(
            (left / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        )

    def text(self, left: float, top: float, text: str, size: float, weight: str = "normal") -> None:
        """Text whose upper left corner is at this place."""
        self.figure.text(
            left / WIDTH,
            1 - top / self.height,
            text,
            fontsize=size,
            va="top",
            color=INK,
            fontweight=weight,
        )


def legend_height(colours: Mapping[str, str]) -> float:
    """Inches from the top of the legend down to the charts below it."""
    return 0.5 + LEGEND_LINE * math.ceil(len(colours) / _legend_columns(colours))


def legend(canvas: Canvas, top: float, colours: Mapping[str, str]) -> None:
    """One legend for all charts below it: names and their colours."""
    canvas.figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
        loc="upper left",
        bbox_to_anchor=((MARGIN - 0.1) / WIDTH, 1 - top / canvas.height),
        ncols=_legend_columns(colours),
        frameon=False,
        fontsize=LABEL,
        handlelength=1.0,
        handleheight=1.0,
        borderaxespad=0,
    )


def _legend_columns(colours: Mapping[str, str]) -> int:
    entry = 0.6 + CHARACTER * max(map(len, colours), default=0)
    return max(1, int((WIDTH - 2 * MARGIN) / entry))


def png(figure: Figure) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    stream = io.BytesIO()
    # no software version or date in the file
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def dress(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Title to the left, labels, a light grid behind, and no frame but the axes' lines."""
    axes.set_title(title, loc="left", fontsize=LABEL + 0.5, fontweight="bold", color=INK, pad=10)
    axes.set_xlabel(x, fontsize=LABEL, color=INK)
    axes.set_ylabel(y, fontsize=LABEL, color=INK)
    axes.tick_params(labelsize=SMALL, colors=INK, length=3)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#888888")


def bare(axes: Axes) -> None:
    """No ticks and a thin frame, for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)


def letters(panels: Sequence[object], first: str = "b") -> tuple[str, ...]:
    """(b), (c) ... for the panels that follow (a), or from another letter on."""
    return tuple(f"({chr(ord(first) + k)})" for k in range(len(panels)))
