"""Results over seeds as tables: on the terminal (rich) and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Group, RenderableType
from rich.text import Text

from equimod.report.collected import Collected, Row, shown
from equimod.report.results import ArmResult, RunSummary
from equimod.report.table import (
    MISSING,
    FittedTable,
    Grid,
    Line,
    Measure,
    escaped,
    markdown_row,
    measures,
)

DIFFERENCES = "Differences with the same seed"
STEPS = "mean ± standard deviation and 95 % interval of the mean (Student's t)"


@dataclass(frozen=True)
class Cell:
    """A number over seeds as text.

    Attributes:
        mean: the mean, with its standard deviation.
        interval: both ends; empty where there is none.
    """

    mean: str
    interval: str = ""


def sections(collected: Collected) -> dict[str, tuple[Measure, ...]]:
    """What stands in the tables, by the title of its section: what any row has."""
    means = RunSummary(
        title=collected.title,
        data=collected.data,
        measured_on=collected.measured_on,
        labels=collected.labels,
        arms=tuple(ArmResult(name=row.arm, metrics=_means(row)) for row in collected.rows),
    )
    found = {
        title: tuple(m for m in wanted if any(m.metric in row.values for row in collected.rows))
        for title, wanted in measures(means).items()
    }
    return {title: wanted for title, wanted in found.items() if wanted}


def _means(row: Row) -> dict[str, float]:
    found = {metric: row.spread(metric) for metric in row.values}
    return {metric: spread.mean for metric, spread in found.items() if spread is not None}


def render(collected: Collected) -> Group:
    """The tables for a rich console, and below them what they hold and what is missing."""
    parts: list[RenderableType] = []
    if collected.rows:
        parts.append(FittedTable(_grid(collected, collected.rows, _best)))
    if collected.differences:
        parts.append(Text(DIFFERENCES, "bold"))
        parts.append(FittedTable(_grid(collected, collected.differences, _sure)))
    if collected.rows:
        parts.append(Text(caption(collected), style="dim"))
    parts += [Text(line, style="yellow") for line in remarks(collected)]
    return Group(*parts)


def to_markdown(collected: Collected) -> str:
    """The tables as GitHub Markdown, with a row for each arm and point."""
    lines = [f"# {escaped(collected.title)}", ""]
    for rows, best, prefix in (
        (collected.rows, _best, ""),
        (collected.differences, _sure, f"{DIFFERENCES}: "),
    ):
        for title, wanted in compared(collected, rows).items():
            lines += _section(collected, rows, f"{prefix}{title}", wanted, best)
    lines.append(escaped(caption(collected)))
    lines += [part for line in remarks(collected) for part in ("", escaped(line))]
    return "\n".join(lines) + "\n"


def _section(
    collected: Collected,
    rows: Sequence[Row],
    title: str,
    wanted: Sequence[Measure],
    best: Callable[[Sequence[Row], Measure], frozenset[int]],
) -> Iterator[str]:
    marked = [best(rows, measure) for measure in wanted]
    body = []
    for k, row in enumerate(rows):
        cells = [_cell(row, measure) for measure in wanted]
        if all(cell.mean == MISSING for cell in cells):
            continue
        whole = [f"{c.mean} ({c.interval})" if c.interval else c.mean for c in cells]
        numbers = [f"**{c}**" if k in m else c for c, m in zip(whole, marked, strict=True)]
        point = [shown(row.point[p]) if p in row.point else MISSING for p in collected.paths]
        n = str(len(row.seeds)) if row.random else MISSING
        body.append(markdown_row([*map(escaped, [*point, row.label]), n, *numbers]))
    if body:
        head = [*collected.paths, "arm", "n", *(measure.label for measure in wanted)]
        sides = [*[":--"] * (len(collected.paths) + 1), *["--:"] * (len(wanted) + 1)]
        yield from (f"**{title}**", "", markdown_row(map(escaped, head)), markdown_row(sides))
        yield from (*body, "")


def _grid(
    collected: Collected,
    rows: Sequence[Row],
    best: Callable[[Sequence[Row], Measure], frozenset[int]],
) -> Grid:
    """A column for each row, in which a cell has a line for the interval."""
    counts = {len(row.seeds) for row in rows if row.random}
    grid = {}
    for title, wanted in compared(collected, rows).items():
        lines = []
        for measure in wanted:
            cells = [_cell(row, measure) for row in rows]
            if any(cell.mean != MISSING for cell in cells):
                text = tuple(f"{c.mean}\n{c.interval}".rstrip() for c in cells)
                lines.append(Line(measure.label, text, best(rows, measure)))
        if lines:
            grid[title] = tuple(lines)
    return Grid(tuple(name(collected, row, len(counts) > 1) for row in rows), grid)


def compared(collected: Collected, rows: Sequence[Row]) -> dict[str, tuple[Measure, ...]]:
    """The sections for these rows; differences only of what is better or worse."""
    found = sections(collected)
    if not any(row.base is not None for row in rows):
        return found
    kept = {
        # chance gives a value, not a difference
        title: tuple(replace(m, label=m.label.split(" (chance")[0]) for m in wanted if m.ranked)
        for title, wanted in found.items()
    }
    return {title: wanted for title, wanted in kept.items() if wanted}


def name(collected: Collected, row: Row, counted: bool = False) -> str:
    """What a row is called: its arm or difference, where in the sweep, and how many seeds."""
    parts = [row.label, *point_label(collected, row.point)]
    return ", ".join([*parts, f"n = {len(row.seeds)}"] if counted and row.random else parts)


def point_label(collected: Collected, point: Mapping[str, object]) -> list[str]:
    """The values of a point, `epochs=5` each: the last part of a path where it is clear."""
    ends = [path.rsplit(".", 1)[-1] for path in collected.paths]
    return [
        f"{end if ends.count(end) == 1 else path}={shown(point[path])}"
        for path, end in zip(collected.paths, ends, strict=True)
        if path in point
    ]


def _cell(row: Row, measure: Measure) -> Cell:
    found = row.spread(measure.metric)
    if found is None:
        return Cell(MISSING)
    sign = "+" if row.base is not None else ""
    mean, low, high = (
        "" if value is None else f"{value:{sign}z,.{measure.decimals}f}"
        for value in (found.mean, found.low, found.high)
    )
    if found.std is None:
        return Cell(f"{mean} ± {MISSING}" if row.random else mean)
    n = f" (n = {found.n})" if found.n != len(row.seeds) else ""
    return Cell(f"{mean} ± {found.std:,.{measure.decimals}f}{n}", f"{low} to {high}")


def _best(rows: Sequence[Row], measure: Measure) -> frozenset[int]:
    """The rows of the highest mean, as far as the table shows it."""
    found = {k: row.spread(measure.metric) for k, row in enumerate(rows)}
    means = {k: round(s.mean, measure.decimals) for k, s in found.items() if s is not None}
    if not measure.ranked or len(means) < 2:
        return frozenset()
    return frozenset(k for k, mean in means.items() if mean == max(means.values()))


def _sure(rows: Sequence[Row], measure: Measure) -> frozenset[int]:
    """The rows whose interval leaves out 0."""
    found = {k: row.spread(measure.metric) for k, row in enumerate(rows)}
    return frozenset(
        k
        for k, s in found.items()
        if s is not None and s.interval is not None and not s.interval[0] <= 0 <= s.interval[1]
    )


def caption(collected: Collected) -> str:
    """What was run, on which data and seeds, and what the numbers are."""
    random = [row for row in collected.rows if row.random]
    seeds = sorted({seed for row in random for seed in row.seeds})
    counts = sorted({len(row.seeds) for row in random})
    n = " or ".join(map(str, counts)) or "0"
    listed = f"n = {n} {'seed' if counts == [1] else 'seeds'} ({numbers(seeds)})"
    parts = [collected.title, collected.data, listed]
    if counts[-1:] > [1]:
        parts.append(STEPS)
    if 1 in counts:
        parts.append(f"{MISSING}: one seed has no spread")
    parts.append("best mean in bold")
    if collected.differences:
        parts.append("a difference in bold where its interval leaves out 0")
    return " · ".join(parts)


def numbers(found: Sequence[int]) -> str:
    """Ascending numbers, ranges drawn together: `0 to 4, 7`."""
    runs: list[list[int]] = []
    for number in found:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(
        f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
    )


def remarks(collected: Collected) -> list[str]:
    """What is missing, and what a reader must know."""
    by_reason: dict[str, list[str]] = {}
    for missing in collected.missing:
        by_reason.setdefault(missing.reason, []).append(missing.name)
    return [
        *(
            f"missing, {reason}: {len(names)} ({'; '.join(names)})"
            for reason, names in by_reason.items()
        ),
        *collected.notes,
    ]
