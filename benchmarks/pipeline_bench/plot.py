"""The measurements as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline_bench.report import number

OURS, PEER, FLOOR, INK = "#0072b2", "#9aa4b0", "#dfe3e8", "#24292f"
LINES = {"augspec": OURS, "kornia": "#d55e00"}
MARKERS = "osd^v"


def draw_rates(document: Mapping[str, Any], path: Path) -> None:
    """Bars of images a second with their quartiles, a panel for each workload."""
    workloads = document["workloads"]
    rows = max(len(workload["results"]) for workload in workloads)
    figure = Figure((4.6 * len(workloads) + 1.6, 0.42 * rows + 1.5), layout="constrained")
    for place, workload in enumerate(workloads):
        axes = figure.add_subplot(1, len(workloads), place + 1)
        _bars(axes, workload)
    machine = document["machine"]
    where = machine.get("gpu", f"{machine['processor']}, {machine['threads']} threads")
    figure.suptitle(f"Two augmented views of a batch, images per second: {where}", color=INK)
    _save(figure, path)


def _bars(axes: Axes, workload: Mapping[str, Any]) -> None:
    results = sorted(workload["results"], key=lambda r: -r["images_per_second"]["median"])
    for row, one in enumerate(results):
        rate = one["images_per_second"]
        colour = FLOOR if one["floor"] else OURS if one["name"].startswith("augspec") else PEER
        spread = [[rate["median"] - rate["q1"]], [rate["q3"] - rate["median"]]]
        style = {"ecolor": INK, "capsize": 2.5, "elinewidth": 1}
        axes.barh(row, rate["median"], 0.72, color=colour, xerr=spread, error_kw=style)
        text = f"  {number(rate['median'])}"
        axes.annotate(text, (rate["q3"], row), va="center", fontsize=8.5, color=INK)
    axes.set_yticks(range(len(results)), [one["label"] for one in results], fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    rates = [one["images_per_second"]["median"] for one in results] or [1.0]
    axes.set_xlim(min(rates) / 2.5, max(rates) * 4.5)
    axes.set_title(f"{workload['title']}, batch {workload['batch']}", fontsize=10, color=INK)
    axes.set_xlabel("images/s, log scale; whiskers: quartiles", fontsize=8.5)
    _quiet(axes, "x")


def draw_growth(document: Mapping[str, Any], path: Path) -> None:
    """Milliseconds by batch and by size, a panel for each sweep."""
    sweeps = document["growth"]
    figure = Figure((4.4 * len(sweeps), 3.6), layout="constrained")
    for place, sweep in enumerate(sweeps):
        axes = figure.add_subplot(1, len(sweeps), place + 1)
        names = dict.fromkeys(point["contestant"] for point in sweep["points"])
        for mark, name in zip(MARKERS, names, strict=False):
            points = [point for point in sweep["points"] if point["contestant"] == name]
            at = [point["at"] for point in points]
            times = [point["milliseconds"] for point in points]
            colour = LINES[name.split("-")[0]]
            axes.plot(at, [t["median"] for t in times], f"{mark}-", color=colour, ms=4, label=name)
            axes.fill_between(
                at, [t["q1"] for t in times], [t["q3"] for t in times], color=colour, alpha=0.2
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        ticks = sorted({point["at"] for point in sweep["points"]})
        axes.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=8)
        axes.minorticks_off()
        axes.set_title(sweep["title"], fontsize=10, color=INK)
        axes.set_xlabel(
            "images a batch" if sweep["axis"] == "batch" else "side of the view, pixels"
        )
        axes.set_ylabel("ms a batch" if place == 0 else "")
        axes.legend(frameon=False, fontsize=8.5)
        _quiet(axes, "both")
    _save(figure, path)


def _quiet(axes: Axes, grid: str) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis=grid, color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")
