"""A run's results as one table: on the terminal (rich) and in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.box import ROUNDED
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from equimod.report.results import THROUGHPUT, RunSummary

MISSING = "\N{EN DASH}"
LABEL = 17
"""Characters that the first column keeps at least."""
HEADER = 8
"""Characters up to which the header of a column of numbers is not wrapped."""


@dataclass(frozen=True)
class Measure:
    """Something measured, of which more is better.

    Attributes:
        metric: the name in `ArmResult.metrics`.
        label: what it is called within its section.
        decimals: how many digits after the point.
        ranked: whether the best is marked.
    """

    metric: str
    label: str
    decimals: int
    ranked: bool = True


@dataclass(frozen=True)
class Line:
    """One measure of everything that was measured.

    Attributes:
        label: what the measure is called.
        cells: the values as text, one for each of `Grid.names`.
        best: the numbers of the cells that are the best.
    """

    label: str
    cells: tuple[str, ...]
    best: frozenset[int]


@dataclass(frozen=True)
class Grid:
    """The table before it is drawn.

    Attributes:
        names: what was measured: baselines, then arms.
        sections: the lines of each section by its title.
    """

    names: tuple[str, ...]
    sections: Mapping[str, tuple[Line, ...]]


def measures(summary: RunSummary) -> dict[str, tuple[Measure, ...]]:
    """What may stand in the table, by the title of its section."""
    return {
        f"Accuracy on {summary.measured_on}, %": (
            *(Measure(f"linear/{kind}", f"linear {kind}", 2) for kind in summary.labels),
            *(Measure(f"knn/{kind}", f"k-NN {kind}", 2) for kind in summary.labels),
        ),
        "Equivariance, fresh head on the frozen encoder": _equivariance(summary, "probe"),
        "Equivariance, the arm's own head": _equivariance(summary, "equivariance"),
        "Training": (Measure(THROUGHPUT, "images/s", 0, ranked=False),),
    }


def _equivariance(summary: RunSummary, group: str) -> tuple[Measure, ...]:
    """The measures of one kind of head: `equivariance` (the arm's own) or `probe`."""
    chance = _chance(summary, group)
    note = "" if chance is None else f" (chance {chance:.3f})"
    return (
        Measure(f"{group}/absolute", "Δcos", 3),
        Measure(f"{group}/relative", "ratio of means", 2),
        Measure(f"{group}/relative_median", "median ratio", 2),
        Measure(f"{group}/retrieval_mrr", f"retrieval MRR{note}", 3),
    )


def _chance(summary: RunSummary, *groups: str) -> float | None:
    """The retrieval MRR by chance of these kinds of head; None unless it is one for all."""
    names = [f"{group}/retrieval_chance_mrr" for group in groups]
    found = {row.metrics[name] for row in summary.rows for name in names if name in row.metrics}
    return found.pop() if len(found) == 1 else None


def lay_out(summary: RunSummary) -> Grid:
    """The table of a run, without the columns, lines and sections that have no number."""
    wanted = measures(summary)
    metrics = {measure.metric for section in wanted.values() for measure in section}
    named = zip(summary.row_names, summary.rows, strict=True)
    columns = [(name, row.metrics) for name, row in named if metrics & row.metrics.keys()]
    values = [column for _, column in columns]
    sections = {
        title: tuple(_line(m, values) for m in section if any(m.metric in v for v in values))
        for title, section in wanted.items()
    }
    return Grid(
        names=tuple(name for name, _ in columns),
        sections={title: lines for title, lines in sections.items() if lines},
    )


def _line(measure: Measure, columns: Sequence[Mapping[str, float]]) -> Line:
    values = {k: c[measure.metric] for k, c in enumerate(columns) if measure.metric in c}
    cells = tuple(
        f"{values[k]:z,.{measure.decimals}f}" if k in values else MISSING
        for k in range(len(columns))
    )
    best: frozenset[int] = frozenset()
    if measure.ranked and len(values) > 1:
        # what looks the same is marked the same: ties are by the text that is shown
        shown = cells[max(values, key=values.__getitem__)]
        best = frozenset(k for k in values if cells[k] == shown)
    return Line(measure.label, cells, best)


def caption(summary: RunSummary) -> str:
    """One line: what was run, on which data and seeds, and what chance gives."""
    seeds = sorted({row.seed for row in summary.rows if row.seed is not None})
    word = "seed" if len(seeds) == 1 else "seeds"
    seeded = f"{word} {', '.join(map(str, seeds))}" if seeds else "no seed"
    parts = [summary.title, summary.data, seeded, "best in bold"]
    chance = _chance(summary, "probe", "equivariance")
    if chance is not None:
        parts.append(f"MRR by chance {chance:.3f}")
    return " · ".join(parts)


@dataclass(frozen=True)
class FittedTable:
    """A grid that rich draws in the first form that fits the console.

    The measures are its rows; if that is too wide, its columns, the sections below each other;
    if that is too wide, sections are continued below themselves. Numbers are whole in all of them.
    """

    grid: Grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = upright(self.grid)
        for count in range(max(map(len, self.grid.sections.values())), 0, -1):
            if table.__rich_measure__(console, options).minimum <= options.max_width:
                break
            table = turned(self.grid, count)
        yield table


def render(summary: RunSummary) -> Group:
    """The table for a rich console, the caption below it."""
    grid = lay_out(summary)
    tables = [FittedTable(grid)] if grid.sections else []
    return Group(*tables, Text(caption(summary), style="dim"))


def upright(grid: Grid) -> Table:
    """A row for each measure."""
    blocks = [[[Text(), *(_header(name) for name in grid.names)]]]
    for title, lines in grid.sections.items():
        rows = [
            [Text(line.label), *(_cell(line, k) for k in range(len(line.cells)))] for line in lines
        ]
        blocks.append([[Text(title, "bold")], *rows])
    return _table(blocks)


def turned(grid: Grid, count: int) -> Table:
    """A column for each measure, at most `count` of them beside each other."""
    blocks = []
    for title, section in grid.sections.items():
        for start in range(0, len(section), count):
            lines = section[start : start + count]
            rows = [
                [Text(name), *(_cell(line, k) for line in lines)]
                for k, name in enumerate(grid.names)
                if any(line.cells[k] != MISSING for line in lines)
            ]
            header = [Text(title, "bold"), *(_header(line.label) for line in lines)]
            blocks.append([header, *rows])
    return _table(blocks)


def _table(blocks: Sequence[Sequence[Sequence[Text]]]) -> Table:
    """Blocks of rows, ruled off. The first column wraps; the others keep their width."""
    rows = [row for block in blocks for row in block]
    table = Table(show_header=False, box=ROUNDED)
    table.add_column(min_width=LABEL)
    for k in range(1, max(map(len, rows))):
        lines = [line for row in rows if k < len(row) for line in row[k].plain.split("\n")]
        # half a number is a wrong number
        width = max(map(cell_len, lines))
        table.add_column(justify="right", vertical="bottom", no_wrap=True, min_width=width)
    for block in blocks:
        for row in block:
            table.add_row(*row)
        table.add_section()
    return table


def _cell(line: Line, k: int) -> Text:
    return Text(line.cells[k], "bold" if k in line.best else "")


def _header(text: str) -> Text:
    """A column's header on narrow lines, broken at spaces and in front of a `+`."""
    pieces = re.split(r"(?<=[^+]\s)(?=\S)|(?<=[^\s+])(?=\+)", text)
    width = max(HEADER, *(len(piece.rstrip()) for piece in pieces))
    lines = [""]
    for piece in pieces:
        if len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    # Text, not markup: a name may hold square brackets
    return Text("\n".join(line.rstrip() for line in lines), "bold")


def to_markdown(summary: RunSummary) -> str:
    """The table as GitHub Markdown, the caption below it."""
    grid = lay_out(summary)
    lines = []
    if grid.sections:
        lines.append(markdown_row(["", *map(escaped, grid.names)]))
        lines.append(markdown_row([":--", *["--:"] * len(grid.names)]))
    for title, section in grid.sections.items():
        lines.append(markdown_row([f"**{title}**", *[""] * len(grid.names)]))
        for line in section:
            cells = (f"**{c}**" if k in line.best else c for k, c in enumerate(line.cells))
            lines.append(markdown_row([escaped(line.label), *cells]))
    if lines:
        lines.append("")
    return "\n".join([*lines, escaped(caption(summary))]) + "\n"


def markdown_row(cells: Iterable[str]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\|*_`])", r"\\\1", text)
