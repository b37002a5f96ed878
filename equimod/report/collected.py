"""Results of several runs as data: for every arm and sweep point the numbers of all seeds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from equimod.report.results import TEST_SPLIT, ArmResult
from equimod.report.spread import Spread, spread

MINUS = " \N{MINUS SIGN} "
COLUMNS = ("n", "mean", "std", "low", "high")
"""What the file of comma-separated values says of each metric, after what it belongs to."""


@dataclass(frozen=True)
class Row:
    """What one arm, or the difference of two, gave with several seeds.

    Attributes:
        arm: its name.
        point: the values of the sweep, by path; without those of a baseline that is the same at
            all points.
        values: by metric and seed.
        base: the arm whose value with the same seed was subtracted; None for an arm by itself.
        trained: whether it is no baseline.
        random: whether a seed decides anything.
    """

    arm: str
    point: Mapping[str, Any]
    values: Mapping[str, Mapping[int, float]]
    base: str | None = None
    trained: bool = True
    random: bool = True

    @property
    def label(self) -> str:
        """The arm, or the difference."""
        return self.arm if self.base is None else f"{self.arm}{MINUS}{self.base}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds that any of its metrics was measured with."""
        return tuple(sorted({seed for values in self.values.values() for seed in values}))

    def spread(self, metric: str) -> Spread | None:
        """Mean and interval of a metric; None where it was not measured."""
        values = list(self.values.get(metric, {}).values())
        if not self.random:
            values = list(dict.fromkeys(values))  # the same number again is no second measurement
        return spread(values) if values else None


@dataclass(frozen=True)
class Missing:
    """A point without results.

    Attributes:
        name: of the point, or the run's folder.
        reason: why it has none.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Collected:
    """Everything that several runs found.

    Attributes:
        title: what was run.
        data: the data, for captions.
        labels: the kinds of label.
        paths: what was swept, without the seed.
        rows: arms and baselines at all points, in the order of the table.
        differences: arms less their bases, seed by seed.
        missing: the points that are not in it.
        notes: what a reader must know of how the runs differ.
        measured_on: what accuracies were measured on.
        folders: of the runs that are in it.
    """

    title: str
    data: str
    labels: tuple[str, ...]
    paths: tuple[str, ...]
    rows: tuple[Row, ...]
    differences: tuple[Row, ...] = ()
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()
    measured_on: str = TEST_SPLIT
    folders: tuple[Path, ...] = field(default=(), compare=False)


def metrics_of(arm: ArmResult) -> dict[str, float]:
    """An arm's final numbers by flat names, those of each augmentation included."""
    single = {
        f"per_augmentation/{op}/{name}": value
        for op, values in arm.per_augmentation.items()
        for name, value in values.items()
    }
    return {**arm.metrics, **single}


def differences(rows: Sequence[Row], bases: Mapping[str, str]) -> Iterator[Row]:
    """Each arm less its base, at the same point and with the same seed.

    Args:
        rows: arms and baselines.
        bases: the base of each arm that has one.
    """
    for row in rows:
        for other in rows:
            if bases.get(row.arm) == other.arm and row.point == other.point:
                values = {
                    metric: {
                        seed: value - other.values[metric][seed]
                        for seed, value in own.items()
                        if seed in other.values[metric]
                    }
                    for metric, own in row.values.items()
                    if metric in other.values
                }
                shared = {metric: found for metric, found in values.items() if found}
                if shared:
                    yield Row(row.arm, row.point, shared, base=other.arm)


def shown(value: Any) -> str:
    """A value of a sweep, for a table."""
    return value if isinstance(value, str) else json.dumps(value)


def to_csv(collected: Collected) -> str:
    """One line for each arm or difference, point and metric."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*collected.paths, "arm", "minus", "metric", *COLUMNS])
    for row in (*collected.rows, *collected.differences):
        point = [shown(row.point[p]) if p in row.point else "" for p in collected.paths]
        for metric in row.values:
            found = asdict(_spread(row, metric))
            numbers = ["" if found[c] is None else found[c] for c in COLUMNS]
            writer.writerow([*point, row.arm, row.base or "", metric, *numbers])
    return stream.getvalue()


def to_json(collected: Collected) -> str:
    """Everything, the value of each seed included."""
    document = {
        "version": 1,
        "title": collected.title,
        "data": collected.data,
        "measured_on": collected.measured_on,
        "sweep": collected.paths,
        "arms": [_document(row) for row in collected.rows],
        "differences": [_document(row) for row in collected.differences],
        "missing": [asdict(missing) for missing in collected.missing],
        "notes": collected.notes,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _document(row: Row) -> dict[str, Any]:
    minus = {} if row.base is None else {"minus": row.base}
    metrics = {
        metric: {**asdict(_spread(row, metric)), "seeds": values}
        for metric, values in row.values.items()
    }
    return {"arm": row.arm, **minus, "point": dict(row.point), "metrics": metrics}


def _spread(row: Row, metric: str) -> Spread:
    found = row.spread(metric)
    assert found is not None, metric
    return found
