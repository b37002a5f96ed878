"""A run's results as tables: on the terminal (rich) and in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rich.box import ROUNDED
from rich.console import Group
from rich.table import Table
from rich.text import Text

from equimod.report.results import THROUGHPUT, RunSummary

MISSING = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    """One column of numbers; the highest is the best in all of them.

    Attributes:
        metric: the name in `ArmResult.metrics`.
        header: what stands above it; lines are separated by a newline.
        decimals: how many digits after the point.
    """

    metric: str
    header: str
    decimals: int


@dataclass(frozen=True)
class Grid:
    """A table before it is drawn.

    Attributes:
        title: the table's title.
        headers: the header of each column, that of the names first.
        cells: rows of text, the name first.
        best: (row, column) of the best values.
        untrained: how many of the rows, at the top, are baselines.
    """

    title: str
    headers: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]]
    untrained: int


def accuracy_columns(labels: Iterable[str]) -> tuple[Column, ...]:
    """Linear and k-NN accuracy for each kind of label, and throughput."""
    kinds = tuple(labels)
    return (
        *(Column(f"linear/{kind}", f"linear\n{kind} %", 2) for kind in kinds),
        *(Column(f"knn/{kind}", f"k-NN\n{kind} %", 2) for kind in kinds),
        Column(THROUGHPUT, "training\nimages/s", 0),
    )


def equivariance_columns(group: str) -> tuple[Column, ...]:
    """The equivariance measures of one kind of head: `equivariance` (the arm's own) or `probe`."""
    return (
        Column(f"{group}/absolute", "absolute\nΔcos", 3),
        Column(f"{group}/relative", "relative\nratio", 2),
        Column(f"{group}/relative_median", "median\nratio", 2),
        Column(f"{group}/retrieval_mrr", "retrieval\nMRR", 3),
    )


def grids(summary: RunSummary) -> tuple[Grid, ...]:
    """The tables of a run, those left out for which nothing was measured."""
    tables = (
        ("Accuracy on the test split", accuracy_columns(summary.labels)),
        ("Equivariance of the arm's own head, test split", equivariance_columns("equivariance")),
        ("Equivariance of a fresh head, the probe, test split", equivariance_columns("probe")),
    )
    found = (_grid(summary, title, columns) for title, columns in tables)
    return tuple(grid for grid in found if grid is not None)


def _grid(summary: RunSummary, title: str, columns: tuple[Column, ...]) -> Grid | None:
    """Lays out the rows and columns that have a number; None if there are none."""
    named = zip(summary.row_names, summary.rows, strict=True)
    rows = [
        (name, row.metrics) for name, row in named if any(c.metric in row.metrics for c in columns)
    ]
    present = [c for c in columns if any(c.metric in metrics for _, metrics in rows)]
    if not present:
        return None
    texts = [
        [f"{m[c.metric]:,.{c.decimals}f}" if c.metric in m else MISSING for c in present]
        for _, m in rows
    ]
    best: set[tuple[int, int]] = set()
    for k, column in enumerate(present):
        values = {
            number: m[column.metric] for number, (_, m) in enumerate(rows) if column.metric in m
        }
        # what looks the same is marked the same: ties are by the text that is shown
        shown = texts[max(values, key=values.__getitem__)][k]
        if len(values) > 1:
            best |= {(number, k + 1) for number in values if texts[number][k] == shown}
    return Grid(
        title=title,
        headers=("", *(column.header for column in present)),
        cells=tuple((name, *row) for (name, _), row in zip(rows, texts, strict=True)),
        best=frozenset(best),
        untrained=sum(name in summary.row_names[: len(summary.baselines)] for name, _ in rows),
    )


def caption(summary: RunSummary) -> str:
    """One line: what was run, on which data and seeds, and what chance gives."""
    seeds = sorted({row.seed for row in summary.rows if row.seed is not None})
    word = "seed" if len(seeds) == 1 else "seeds"
    seeded = f"{word} {', '.join(map(str, seeds))}" if seeds else "no seed"
    parts = [summary.title, summary.data, seeded, "best in bold"]
    chances = {
        value
        for row in summary.rows
        for name, value in row.metrics.items()
        if name.endswith("/retrieval_chance_mrr")
    }
    if len(chances) == 1:
        parts.append(f"MRR by chance {chances.pop():.3f}")
    return " · ".join(parts)


def render(summary: RunSummary) -> Group:
    """The tables for a rich console, the caption below the last."""
    tables = []
    for grid in grids(summary):
        table = Table(title=grid.title, title_justify="left", title_style="bold", box=ROUNDED)
        for k, header in enumerate(grid.headers):
            # numbers are never cut or wrapped: half a number is a wrong number
            table.add_column(Text(header), justify="right" if k else "left", no_wrap=k > 0)
        for number, row in enumerate(grid.cells):
            # Text, not markup: a name may hold square brackets
            texts = (
                Text(text, style="bold" if (number, k) in grid.best else "")
                for k, text in enumerate(row)
            )
            table.add_row(*texts, end_section=number + 1 == grid.untrained)
        tables.append(table)
    return Group(*tables, Text(caption(summary), style="dim"))


def to_markdown(summary: RunSummary) -> str:
    """The tables as GitHub Markdown, the caption below the last."""
    parts = []
    for grid in grids(summary):
        headers = [_escaped(" ".join(header.split("\n"))) for header in grid.headers]
        lines = [
            f"**{grid.title}**",
            "",
            _line(headers),
            _line([":--", *["--:"] * (len(headers) - 1)]),
        ]
        for number, row in enumerate(grid.cells):
            lines.append(
                _line(
                    f"**{text}**" if (number, k) in grid.best else _escaped(text)
                    for k, text in enumerate(row)
                )
            )
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, _escaped(caption(summary))]) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\|*_`])", r"\\\1", text)
