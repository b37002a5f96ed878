"""Results over seeds as a picture: every seed a dot, with mean and interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, cycle, repeat

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from equimod.report.charts import Panel, beside
from equimod.report.collected import Collected, Row
from equimod.report.collected_table import DIFFERENCES, compared, numbers, point_label
from equimod.report.results import RETRIEVAL, ArmResult, RunSummary
from equimod.report.style import (
    FAINT,
    INK,
    LABEL,
    MARGIN,
    SMALL,
    TITLE,
    WIDTH,
    Canvas,
    dress,
    legend,
    legend_height,
    letters,
    png,
    row_colours,
)
from equimod.report.table import Measure

HEAD = 1.1
"""Inches for the title above the legend."""
BESIDE = 3
"""Charts in a row, at most."""
CURVE, LINE = 2.9, 0.27
"""Inches of a chart of curves, and of one line of a chart of dots."""
BELOW, GROUP = 1.15, 0.35
"""Room below a row of charts, and above a group of them for its title."""
TALLEST = 30.0
"""Inches of a chart of dots at most; the names of more lines are smaller."""
LETTER = 0.085
"""Inches that a character of a line's name takes."""
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
"""How lines are drawn at different values of what is swept beside the horizontal axis."""
ROOM = 0.5
"""How far an axis goes on beyond the seeds, as a share of what they span."""
ABSOLUTE = "probe/absolute"
OWN_RETRIEVAL = "equivariance/retrieval_mrr"


@dataclass(frozen=True)
class _Look:
    """What all charts of a picture share.

    Attributes:
        collected: the results.
        colours: of the arms.
        axis: the path along the horizontal axis; None for charts of dots.
    """

    collected: Collected
    colours: Mapping[str, str]
    axis: str | None


def to_png(collected: Collected) -> bytes:
    """The picture as PNG, 1600 pixels wide; equal results give equal bytes."""
    return png(draw_collected(collected))


def draw_collected(collected: Collected) -> Figure:
    """The picture as a figure of its own, outside pyplot's global state.

    Where a number is swept, curves over it; otherwise a line of dots for each row of the table.
    """
    look = _Look(collected, _colours(collected), _axis(collected))
    groups = [
        (title, rows, _shown(collected, rows))
        for title, rows in (("", collected.rows), (DIFFERENCES, collected.differences))
    ]
    groups = [group for group in groups if group[2]]
    heads = HEAD + legend_height(look.colours)
    total = heads + sum(_height(look, title, rows, shown) for title, rows, shown in groups)
    canvas = Canvas.blank(total)
    FigureCanvasAgg(canvas.figure)
    canvas.text(MARGIN, 0.28, collected.title, TITLE + 4, weight="bold")
    canvas.text(MARGIN, 0.66, _subtitle(look), SMALL + 0.5)
    legend(canvas, HEAD, look.colours)
    marks = letters([None] * sum(len(shown) for _, _, shown in groups), first="a")
    top = heads
    for title, rows, shown in groups:
        _group(canvas, top, look, title, rows, shown, marks)
        marks = marks[len(shown) :]
        top += _height(look, title, rows, shown)
    return canvas.figure


def _group(
    canvas: Canvas,
    top: float,
    look: _Look,
    title: str,
    rows: Sequence[Row],
    shown: Sequence[Measure],
    marks: Sequence[str],
) -> None:
    """One chart for each measure, in rows."""
    if title:
        what = ", ".join(dict.fromkeys(row.label for row in rows))
        title += f": {what}" if look.axis else ""  # otherwise at the lines
        canvas.text(MARGIN, top - 0.35, title, LABEL + 1.5, weight="bold")
        top += GROUP
    height = _chart(look, rows)
    in_rows, letter = _in_rows(shown), iter(marks)
    for some in in_rows:
        panels = tuple(_panel(look, rows, measure, k == 0) for k, measure in enumerate(some))
        # what has less beside it is as wide as the others
        padding = (Panel(_nothing),) * (len(in_rows[0]) - len(some))
        own = [next(letter) for _ in some]
        beside(canvas, top, height, panels + padding, chain(own, repeat("")))
        top += height + BELOW


def _in_rows(shown: Sequence[Measure]) -> list[Sequence[Measure]]:
    """The charts of each row, as even as can be: four are two and two."""
    count = math.ceil(len(shown) / math.ceil(len(shown) / BESIDE))
    return [shown[start : start + count] for start in range(0, len(shown), count)]


def _nothing(axes: Axes, letter: str) -> None:
    axes.set_axis_off()


def _height(look: _Look, title: str, rows: Sequence[Row], shown: Sequence[Measure]) -> float:
    below = len(_in_rows(shown)) * (_chart(look, rows) + BELOW)
    return below + (GROUP if title else 0)


def _chart(look: _Look, rows: Sequence[Row]) -> float:
    return CURVE if look.axis else min(TALLEST, max(0.8, LINE * len(rows)))


def _shown(collected: Collected, rows: Sequence[Row]) -> list[Measure]:
    """Accuracies, and how well codes find views: by the probe and by the arms' own heads.

    One head alone has nothing to stand beside, and is drawn where there is no probe only.
    """
    measured = Counter(metric for row in rows for metric in row.values)
    found = []
    for m in (m for section in compared(collected, rows).values() for m in section):
        if m.metric.startswith(("linear/", "knn/")) or m.metric in (RETRIEVAL, ABSOLUTE):
            found.append(m)
        elif m.metric == OWN_RETRIEVAL and (measured[m.metric] > 1 or RETRIEVAL not in measured):
            found.append(replace(m, label=f"{m.label}, own head"))
    return [m for m in found if m.metric in measured]


def _colours(collected: Collected) -> dict[str, str]:
    """A colour for each arm and baseline."""
    names: dict[bool, dict[str, None]] = {False: {}, True: {}}
    for row in collected.rows:
        names[row.trained][row.arm] = None
    baselines, arms = (tuple(ArmResult(name=name) for name in names[t]) for t in (False, True))
    return row_colours(RunSummary(title="-", data="-", labels=(), arms=arms, baselines=baselines))


def _axis(collected: Collected) -> str | None:
    """The swept number with most values, unless too much else is swept."""
    counts: dict[str, int] = {}
    for path in collected.paths:
        values = [row.point[path] for row in collected.rows if path in row.point]
        if all(_is_number(value) for value in values):
            counts[path] = len({*values})
    path = max(counts, key=counts.__getitem__, default="")
    if counts.get(path, 0) < 2 or len(_others(collected, path)) > len(DASHES):
        return None
    return path


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _others(collected: Collected, axis: str) -> list[str]:
    """What is swept beside the axis, one text for each combination."""
    found = (_other(collected, row, axis) for row in collected.rows if axis in row.point)
    return list(dict.fromkeys(found))


def _other(collected: Collected, row: Row, axis: str) -> str:
    point = {path: value for path, value in row.point.items() if path != axis}
    return ", ".join(point_label(collected, point))


def _panel(look: _Look, rows: Sequence[Row], measure: Measure, first: bool) -> Panel:
    title = measure.label
    if measure.metric.startswith(("linear/", "knn/")):
        title += ", %"
    elif not measure.metric.startswith("equivariance/"):
        title += ", probe"
    draw: Callable[[Axes, str], None]
    if look.axis is not None:

        def draw(axes: Axes, letter: str) -> None:
            _curves(axes, look, rows, measure)
            dress(axes, f"{letter} {title}", look.axis or "")

        return Panel(draw)

    def dots(axes: Axes, letter: str) -> None:
        _dots(axes, look, rows, measure, first)
        dress(axes, f"{letter} {title}")
        line = 72 * _chart(look, rows) / len(rows)
        axes.tick_params(axis="y", length=0, labelsize=min(SMALL, 0.8 * line))

    longest = max(len(_line(look, row)) for row in rows)
    # the names stand at the first chart, for all in its row
    room = min(0.4 * WIDTH, 0.2 + LETTER * longest) if first else 0.25
    return Panel(dots, axis=room, weight=1 + room / 4.2)


def _line(look: _Look, row: Row) -> str:
    """The name of a line of dots."""
    return ", ".join([row.label, *point_label(look.collected, row.point)])


def _curves(axes: Axes, look: _Look, rows: Sequence[Row], measure: Measure) -> None:
    """Means over the axis, the interval a band, and every seed a dot."""
    axis = look.axis
    assert axis is not None
    styles = dict(zip(_others(look.collected, axis), cycle(DASHES), strict=False))
    lines: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if measure.metric in row.values:
            other = _other(look.collected, row, axis) if axis in row.point else ""
            lines.setdefault((row.arm, other), []).append(row)
    for (arm, other), points in lines.items():
        colour = look.colours[arm]
        if axis not in points[0].point:
            _level(axes, points[0], measure, colour)
            continue
        points.sort(key=lambda row: row.point[axis])
        x = [row.point[axis] for row in points]
        found = [s for row in points if (s := row.spread(measure.metric)) is not None]
        axes.plot(x, [s.mean for s in found], color=colour, linewidth=2, linestyle=styles[other])
        # where there is one seed, the band is as narrow as nothing
        low, high = zip(*(s.interval or (s.mean, s.mean) for s in found), strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
        for row in points:
            values = list(row.values[measure.metric].values())
            axes.scatter([row.point[axis]] * len(values), values, 16, colour, linewidths=0)
    xs = sorted({row.point[axis] for row in rows if axis in row.point})
    if xs[0] > 0 and xs[-1] >= 20 * xs[0]:
        axes.set_xscale("log")
    if len(xs) <= 8:
        axes.set_xticks(xs, [f"{x:g}" for x in xs])
        axes.minorticks_off()
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_ylim(_limits(rows, measure))
    if rows[0].base is not None:
        axes.axhline(0, color="#888888", linewidth=1)


def _level(axes: Axes, row: Row, measure: Measure, colour: str) -> None:
    """A baseline that the sweep does not touch: one line across."""
    found = row.spread(measure.metric)
    assert found is not None
    axes.axhline(found.mean, color=colour, linewidth=1.6)
    if found.interval:
        axes.axhspan(*found.interval, color=colour, alpha=0.12, linewidth=0)


def _dots(axes: Axes, look: _Look, rows: Sequence[Row], measure: Measure, named: bool) -> None:
    """A line for each row: seeds as dots, the mean as a stroke, and the interval as a bar."""
    places = [(y, row, s) for y, row in enumerate(rows) if (s := row.spread(measure.metric))]
    bars = [(y, s.interval, row) for y, row, s in places if s.interval]
    # one artist for all lines: hundreds of points take no longer than one
    axes.hlines(
        [y for y, _, _ in bars],
        [low for _, (low, _), _ in bars],
        [high for _, (_, high), _ in bars],
        colors=[look.colours[row.arm] for _, _, row in bars],
        linewidth=5,
        alpha=0.35,
    )
    seeds = [
        (value, y, look.colours[row.arm])
        for y, row, _ in places
        for value in row.values[measure.metric].values()
    ]
    x, y, colours = zip(*seeds, strict=True)
    axes.scatter(x, y, 22, colours, linewidths=0.6, edgecolors="white", zorder=2.1)
    # over a single seed a stroke would hide its colour
    means = [(y, s.mean) for y, row, s in places if len(row.values[measure.metric]) > 1]
    above, below = ([y + side * 0.36 for y, _ in means] for side in (-1, 1))
    axes.vlines([mean for _, mean in means], above, below, colors=INK, linewidth=1.8, zorder=2.2)
    axes.set_yticks(range(len(rows)), [_line(look, row) if named else "" for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(_limits(rows, measure))
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    if rows[0].base is not None:
        axes.axvline(0, color="#888888", linewidth=1)


def _limits(rows: Sequence[Row], measure: Measure) -> tuple[float, float]:
    """What an axis shows: all seeds, with room. Two seeds give intervals too wide to be shown."""
    values = [v for row in rows for v in row.values.get(measure.metric, {}).values()]
    if rows[0].base is not None:
        values.append(0.0)
    low, high = min(values), max(values)
    room = ROOM * (high - low) or 10.0**-measure.decimals
    found = [s for row in rows if (s := row.spread(measure.metric))]
    ends = [end for s in found if s.interval for end in s.interval]
    lowest, highest = min([low, *ends]), max([high, *ends])
    edge = 0.05 * (high - low) or room
    return max(low - room, lowest - edge), min(high + room, highest + edge)


def _subtitle(look: _Look) -> str:
    collected = look.collected
    seeds = sorted({seed for row in collected.rows if row.random for seed in row.seeds})
    kinds = ("line: mean", "band") if look.axis else ("stroke: mean", "bar")
    key = f"dots: seeds, {kinds[0]}, {kinds[1]}: its 95 % interval, cut off at the edge"
    which = f"seed{'s' if len(seeds) > 1 else ''} {numbers(seeds)}"
    first = " · ".join([collected.data, which, key])
    styles = _others(collected, look.axis) if look.axis else []
    names = ("solid", "dashed", "dotted", "dash-dotted")
    second = [f"{name}: {other}" for name, other in zip(names, styles, strict=False) if other]
    if collected.missing:
        second.append(f"incomplete: {len(collected.missing)} missing")
    return "\n".join(filter(None, [first, " · ".join(second)]))
