"""The whole run in one picture: views with their codes, training curves and final measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from augspec import write_atomically
from equimod.report import charts, codes
from equimod.report.codes import ViewSamples
from equimod.report.results import RunSummary
from equimod.report.style import (
    LABEL,
    MARGIN,
    SMALL,
    TITLE,
    Canvas,
    legend,
    legend_height,
    letters,
    png,
    row_colours,
)

HEAD = 1.05
"""Inches for the title above the views."""
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
    return write_atomically(path, png(draw_overview(overview)))


def draw_overview(overview: Overview) -> Figure:
    """The overview as a figure of its own, outside pyplot's global state."""
    summary, samples = overview.summary, overview.samples
    rows = [row for row in (charts.curves(summary), charts.bars(summary)) if row]
    views = codes.height(samples)
    colours = row_colours(summary)
    charts_top = HEAD + views + legend_height(colours)
    canvas = Canvas.blank(charts_top + len(rows) * (ROW + BELOW) if rows else HEAD + views)
    FigureCanvasAgg(canvas.figure)
    canvas.text(MARGIN, 0.28, summary.title, TITLE + 4, weight="bold")
    canvas.text(MARGIN, 0.66, _subtitle(summary), SMALL + 0.5)
    canvas.text(MARGIN, HEAD, "(a) Views and their codes", LABEL + 0.5, weight="bold")
    codes.draw_codes(canvas, HEAD, samples)
    if rows:
        legend(canvas, HEAD + views, colours)
    marks = iter(letters([panel for row in rows for panel in row]))
    for number, row in enumerate(rows):
        charts.beside(canvas, charts_top + number * (ROW + BELOW), ROW, row, marks)
    return canvas.figure


def _subtitle(summary: RunSummary) -> str:
    """The table's caption without what only concerns tables, the title being shown above."""
    seeds = sorted({row.seed for row in summary.rows if row.seed is not None})
    return " · ".join([summary.data, *(f"seed {seed}" for seed in seeds)])
