"""Curves and bars of a run's results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from equimod.report.results import (
    EQUIVARIANCE_LOSS,
    INVARIANCE_LOSS,
    RETRIEVAL,
    RETRIEVAL_CHANCE,
    RunSummary,
)
from equimod.report.style import FAINT, INK, MARGIN, SMALL, WIDTH, Canvas, dress, row_colours


@dataclass(frozen=True)
class Panel:
    """A chart that can be drawn.

    Attributes:
        draw: draws it into axes, with a letter in front of its title.
        axis: inches that its vertical axis needs at the left.
        weight: its share of a row's width, against 1 for the others.
    """

    draw: Callable[[Axes, str], None]
    axis: float = 0.65
    weight: float = 1.0


def curves(summary: RunSummary) -> tuple[Panel, ...]:
    """Losses and k-NN accuracy over epochs; those for which there is a history."""
    wanted = [
        (INVARIANCE_LOSS, "Invariance loss", "loss"),
        (EQUIVARIANCE_LOSS, "Equivariance loss", "loss"),
        *((f"knn/{kind}", f"k-NN accuracy, {kind}", "%") for kind in summary.labels),
    ]
    return tuple(
        Panel(_curve(summary, metric, title, unit))
        for metric, title, unit in wanted
        if any(metric in entry for arm in summary.arms for entry in arm.history)
    )


def bars(summary: RunSummary) -> tuple[Panel, ...]:
    """Linear accuracy, and equivariance for each augmentation; those that were measured."""
    panels = []
    if any(f"linear/{kind}" in row.metrics for row in summary.rows for kind in summary.labels):
        panels.append(Panel(lambda axes, letter: _accuracy(axes, letter, summary), weight=1.1))
    if any(RETRIEVAL in row.metrics for row in summary.rows):
        panels.append(Panel(lambda axes, letter: _retrieval(axes, letter, summary), weight=0.7))
    if any(arm.per_augmentation for arm in summary.arms):
        panels.append(
            Panel(lambda axes, letter: _augmentations(axes, letter, summary), axis=1.9, weight=1.15)
        )
    return tuple(panels)


def _curve(summary: RunSummary, metric: str, title: str, unit: str) -> Callable[[Axes, str], None]:
    def draw(axes: Axes, letter: str) -> None:
        colours = row_colours(summary)
        names = summary.row_names[len(summary.baselines) :]
        for name, arm in zip(names, summary.arms, strict=True):
            points = [(e["epoch"], e[metric]) for e in arm.history if metric in e]
            if points:
                x, y = zip(*points, strict=True)
                marker = "o" if len(points) <= 40 else None
                axes.plot(x, y, color=colours[name], linewidth=2, marker=marker, markersize=3.5)
        axes.grid(axis="y", color=FAINT, linewidth=0.7)
        axes.set_xlim(_epochs(summary))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        dress(axes, f"{letter} {title}", "epoch", unit)

    return draw


def _epochs(summary: RunSummary) -> tuple[float, float]:
    """The epochs of all histories with half an epoch at either end: one range for all curves."""
    epochs = [entry["epoch"] for arm in summary.arms for entry in arm.history]
    return min(epochs) - 0.5, max(epochs) + 0.5


def _accuracy(axes: Axes, letter: str, summary: RunSummary) -> None:
    """Groups of bars, one group a kind of label, one bar a row; values on top."""
    kinds = [k for k in summary.labels if any(f"linear/{k}" in r.metrics for r in summary.rows)]
    colours = row_colours(summary)
    width = 0.84 / len(summary.rows)
    for number, (name, row) in enumerate(zip(summary.row_names, summary.rows, strict=True)):
        offset = (number - (len(summary.rows) - 1) / 2) * width
        for group, kind in enumerate(kinds):
            value = row.metrics.get(f"linear/{kind}")
            if value is not None:
                axes.bar(group + offset, value, 0.92 * width, color=colours[name])
                size = min(SMALL, 150 / (len(kinds) * len(summary.rows)))
                _on_top(axes, group + offset, value, f"{value:.1f}", size)
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_xlim(-0.5, len(kinds) - 0.5)
    axes.set_ylim(0, 106)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    dress(axes, f"{letter} Linear accuracy on {summary.measured_on}", "", "%")
    axes.tick_params(axis="x", labelsize=SMALL + 1.5, length=0)


def _retrieval(axes: Axes, letter: str, summary: RunSummary) -> None:
    """One bar a row: the probe's mean reciprocal rank, and what chance gives."""
    colours = row_colours(summary)
    measured = [
        (name, row.metrics)
        for name, row in zip(summary.row_names, summary.rows, strict=True)
        if RETRIEVAL in row.metrics
    ]
    for x, (name, metrics) in enumerate(measured):
        axes.bar(x, metrics[RETRIEVAL], 0.77, color=colours[name])
        _on_top(axes, x, metrics[RETRIEVAL], f"{metrics[RETRIEVAL]:.3f}", SMALL)
    chances = {m[RETRIEVAL_CHANCE] for _, m in measured if RETRIEVAL_CHANCE in m}
    for chance in chances:
        axes.axhline(chance, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_ylim(0, 1.06)
    axes.set_xlim(-0.6, len(measured) - 0.4)
    axes.set_xticks([])
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    note = f"dashed: chance, {', '.join(f'{c:.3f}' for c in sorted(chances))}" if chances else ""
    dress(axes, f"{letter} View found by its code (probe)", note, "mean reciprocal rank")


def _on_top(axes: Axes, x: float, value: float, text: str, size: float) -> None:
    """A bar's value, above it."""
    axes.annotate(
        text, (x, value), (0, 3), textcoords="offset points", ha="center", fontsize=size, color=INK
    )


def _augmentations(axes: Axes, letter: str, summary: RunSummary) -> None:
    """One group of bars for each op: the absolute measure with its standard error."""
    colours = row_colours(summary)
    names = summary.row_names[len(summary.baselines) :]
    arms = [pair for pair in zip(names, summary.arms, strict=True) if pair[1].per_augmentation]
    ops = list(dict.fromkeys(op for _, arm in arms for op in arm.per_augmentation))
    thickness = 0.8 / len(arms)
    for number, (name, arm) in enumerate(arms):
        for row, op in enumerate(ops):
            measured = arm.per_augmentation.get(op)
            if measured is not None:
                y = row + (number - (len(arms) - 1) / 2) * thickness
                _gain(axes, y, thickness, measured, colours[name])
                if len(arms) * len(ops) <= 16:  # beyond, the numbers would overlap
                    _number(axes, y, measured)
    low, high = axes.get_xlim()
    room = 0.24 * (high - low)  # for the numbers beyond the bars
    axes.set_xlim(low - (room if low < -1e-9 else 0), high + room)
    axes.set_yticks(range(len(ops)), ops)
    axes.set_ylim(len(ops) - 0.4, -0.6)
    axes.axvline(0, color="#888888", linewidth=1)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    dress(axes, f"{letter} Equivariance by augmentation", "cos(y, ŷ) − cos(y, y₀)")  # noqa: RUF001
    axes.tick_params(axis="y", length=0, labelsize=SMALL + 0.5)


def _gain(axes: Axes, y: float, thickness: float, measured: dict[str, float], colour: str) -> None:
    """One bar and its standard error."""
    axes.barh(y, measured["absolute"], 0.88 * thickness, color=colour)
    if "absolute_error" in measured:
        error = measured["absolute_error"]
        axes.errorbar(measured["absolute"], y, xerr=error, color=INK, linewidth=1, capsize=2)


def _number(axes: Axes, y: float, measured: dict[str, float]) -> None:
    """A bar's number, beyond it and its error."""
    value, error = measured["absolute"], measured.get("absolute_error", 0.0)
    side = math.copysign(1.0, value)
    axes.annotate(
        f"{value:+.3f}".replace("-", "\N{MINUS SIGN}"),
        (value + side * error, y),
        (side * 5, 0),
        textcoords="offset points",
        ha="left" if side > 0 else "right",
        va="center",
        fontsize=SMALL,
        color=INK,
    )


def beside(
    canvas: Canvas, top: float, height: float, panels: tuple[Panel, ...], marks: Iterator[str]
) -> None:
    """Draws panels side by side, each with room for its axis at the left.

    Args:
        canvas: where to draw.
        top: inches from the canvas's upper edge to the charts' boxes.
        height: of the boxes in inches.
        panels: what to draw, from the left.
        marks: a letter for each.
    """
    left = MARGIN
    width = WIDTH - 2 * MARGIN
    for panel, share in zip(panels, shares(panels), strict=True):
        room = panel.axis
        panel.draw(canvas.axes(left + room, top, share * width - room, height), next(marks))
        left += share * width


def shares(panels: tuple[Panel, ...]) -> tuple[float, ...]:
    """The share of a row's width that each panel takes; they sum to 1."""
    weights = np.array([panel.weight for panel in panels])
    return tuple(float(w) for w in weights / weights.sum())
