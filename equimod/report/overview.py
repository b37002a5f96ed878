"""The whole run in one picture: views with their codes, training curves and final measures."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from augspec import write_atomically
from equimod.report import charts, codes
from equimod.report.codes import ViewSamples
from equimod.report.results import RunSummary
from equimod.report.style import LABEL, MARGIN, SMALL, TITLE, WIDTH, Canvas, letters, row_colours

HEAD = 1.05
"""Inches for the title above the views."""
LEGEND_LINE = 0.28
CHARACTER = 0.095
"""Inches that a character of the legend takes."""
ROW = 2.75
"""Height of a chart in inches."""
BELOW = 1.2
"""Room below a row of charts: tick labels, axis label, and the next row's titles."""


@dataclass(frozen=True)
class Overview:
    """What the picture shows.

    Attributes:
        summary: the results.
        samples: a few images with their views and codes.
    """

    summary: RunSummary
    samples: ViewSamples


def write_overview(path: str | Path, overview: Overview) -> Path:
    """Draws the overview and writes it as PNG, 1600 pixels wide, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    stream = io.BytesIO()
    figure = draw_overview(overview)
    # no software version or date in the file: equal results give equal bytes
    figure.savefig(stream, format="png", metadata={"Software": None})
    return write_atomically(path, stream.getvalue())


def draw_overview(overview: Overview) -> Figure:
    """The overview as a figure of its own, outside pyplot's global state."""
    summary, samples = overview.summary, overview.samples
    rows = [row for row in (charts.curves(summary), charts.bars(summary)) if row]
    views = codes.height(samples)
    columns, legend = _legend_size(summary)
    charts_top = HEAD + views + legend
    canvas = Canvas.blank(charts_top + len(rows) * (ROW + BELOW) if rows else HEAD + views)
    FigureCanvasAgg(canvas.figure)
    canvas.text(MARGIN, 0.28, summary.title, TITLE + 4, weight="bold")
    canvas.text(MARGIN, 0.66, _subtitle(summary), SMALL + 0.5)
    canvas.text(MARGIN, HEAD, "(a) Views and their codes", LABEL + 0.5, weight="bold")
    codes.draw_codes(canvas, HEAD, samples)
    if rows:
        _legend(canvas, HEAD + views, summary, columns)
    marks = iter(letters([panel for row in rows for panel in row]))
    for number, row in enumerate(rows):
        _row(canvas, charts_top + number * (ROW + BELOW), row, marks)
    return canvas.figure


def _row(
    canvas: Canvas, top: float, panels: tuple[charts.Panel, ...], marks: Iterator[str]
) -> None:
    """Charts side by side, each with room for its axis at the left."""
    left = MARGIN
    width = WIDTH - 2 * MARGIN
    for panel, share in zip(panels, charts.shares(panels), strict=True):
        room = panel.axis
        panel.draw(canvas.axes(left + room, top, share * width - room, ROW), next(marks))
        left += share * width


def _legend_size(summary: RunSummary) -> tuple[int, float]:
    """How many columns the legend has, and inches down to the top of the charts below it."""
    entry = 0.6 + CHARACTER * max(map(len, summary.row_names), default=0)
    columns = max(1, int((WIDTH - 2 * MARGIN) / entry))
    return columns, 0.5 + LEGEND_LINE * math.ceil(len(summary.rows) / columns)


def _legend(canvas: Canvas, top: float, summary: RunSummary, columns: int) -> None:
    """One legend for all charts, in a line of its own above them."""
    canvas.figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in row_colours(summary).items()],
        loc="upper left",
        bbox_to_anchor=((MARGIN - 0.1) / WIDTH, 1 - top / canvas.height),
        ncols=columns,
        frameon=False,
        fontsize=LABEL,
        handlelength=1.0,
        handleheight=1.0,
        borderaxespad=0,
    )


def _subtitle(summary: RunSummary) -> str:
    """The table's caption without what only concerns tables, the title being shown above."""
    seeds = sorted({row.seed for row in summary.rows if row.seed is not None})
    return " · ".join([summary.data, *(f"seed {seed}" for seed in seeds)])
