"""One table over seeds and sweep points, from the folders of submissions and of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

import augspec
from augspec import write_atomically
from equimod.exits import mistake
from equimod.records import DOCUMENT, ENVIRONMENT, SUMMARY
from equimod.report.collected import (
    Collected,
    Missing,
    Row,
    differences,
    metrics_of,
    to_csv,
    to_json,
)
from equimod.report.collected_picture import to_png
from equimod.report.collected_table import render, to_markdown
from equimod.report.results import ArmResult, RunSummary, read_summary
from equimod.submission.page import environment, write_page
from equimod.submission.points import FILE, SEED, Point, PointsError, read_points
from equimod.submission.settings import (
    Settings,
    SettingsError,
    bases,
    read_settings,
    require_alike,
)

COMPLETE, INCOMPLETE = 0, 1
"""Exit statuses."""

ENVIRONMENTS = {"code": ("code",), "torch": ("packages", "torch"), "GPUs": ("gpus",)}
"""What may differ between the environments of runs, and then is said below the table."""


class CollectError(ValueError):
    """Folders that cannot be collected into one table."""


@dataclass(frozen=True)
class _Found:
    """A point with results."""

    folder: Path
    point: Mapping[str, Any]
    seed: int
    settings: Settings
    summary: RunSummary


def collect(roots: Sequence[Path], base: str | None = None) -> Collected:
    """Reads the results of submissions and runs.

    Args:
        roots: folders of submissions, or of single runs.
        base: the arm from which the others' differences are taken; None for the arm that EquiMod
            was joined to, and otherwise the first.

    Raises:
        CollectError: a folder is neither, roots sweep different things, a seed is there twice, or
            no arm is called `base`.
        PointsError: a submission's list of points is damaged.
        SettingsError: the runs differ in more than seeds and sweeps.
    """
    places = [place for root in roots for place in _places(root)]
    paths = _swept(places)
    alone = len(roots) == 1
    found, missing = [], []
    for root, point in places:
        folder = root / point.name
        read = _read(folder, point)
        if isinstance(read, _Found):
            found.append(read)
        else:
            missing.append(Missing(point.name if alone and point.name else str(folder), read))
    groups = _grouped(found)
    _require_alike(groups, paths)
    if not found:
        return Collected("", "", (), paths, (), missing=tuple(missing))
    rows = [row for group in groups for row in _rows(group)]
    subtrahends = _bases(found, rows, base)
    data = dict.fromkeys(run.summary.data for run in found)
    labels = dict.fromkeys(kind for run in found for kind in run.summary.labels)
    return Collected(
        title=found[0].summary.title,
        data=" | ".join(data),
        labels=tuple(labels),
        paths=paths,
        rows=tuple(_once(rows)),
        differences=tuple(differences(rows, subtrahends)),
        missing=tuple(missing),
        notes=tuple(_notes(found)),
        measured_on=found[0].summary.measured_on,
        folders=tuple(run.folder for run in found),
    )


def write_collected(collected: Collected, folder: Path, picture: bytes) -> list[Path]:
    """Writes `collected.md`, `.csv`, `.json` and `.png`, each atomically.

    Args:
        collected: the tables.
        folder: where the files go.
        picture: as PNG.

    Raises:
        OSError: the folder cannot be written to.
    """
    files: dict[str, str | bytes] = {
        "md": to_markdown(collected),
        "csv": to_csv(collected),
        "json": to_json(collected),
        "png": picture,
    }
    return [write_atomically(folder / f"collected.{kind}", text) for kind, text in files.items()]


def collect_runs(
    roots: Sequence[Path],
    out: Path | None = None,
    base: str | None = None,
    report: Path | None = None,
) -> int:
    """What the command line does: collects, writes and shows.

    Args:
        roots: folders of submissions, or of single runs.
        out: where the files go; into the first of the roots if None.
        base: see `collect`.
        report: where to write a page to be published; none if None.

    Returns:
        The exit status: 0, 1 where results are missing, 2 for a user's mistake.
    """
    try:
        collected = collect(roots, base)
        written, page = [], report if collected.rows else None
        if collected.rows:
            picture = to_png(collected)
            written = write_collected(collected, out or roots[0], picture)
            if page is not None:
                write_page(collected, roots, page, picture, base)
    except (CollectError, PointsError, SettingsError, augspec.SpecError, OSError) as error:
        return mistake(error)
    console = Console()
    console.print(render(collected))
    if written:
        names = ", ".join(path.name for path in written)
        line = f"written to {written[0].parent}: {names}"
        console.print(line, markup=False, soft_wrap=True, highlight=False)
    if page is not None:
        line = f"the page: {page}, with {page.with_suffix('.png').name}"
        console.print(line, markup=False, soft_wrap=True, highlight=False)
    return INCOMPLETE if collected.missing else COMPLETE


def _places(root: Path) -> Iterator[tuple[Path, Point]]:
    """The points below a folder; a run by itself is one without a name."""
    if (root / FILE).is_file():
        yield from ((root, point) for point in read_points(root))
    elif (root / SUMMARY).is_file() or (root / DOCUMENT).is_file():
        yield root, Point("", (), {})
    else:
        what = f"it has no {FILE}, {SUMMARY} or {DOCUMENT}"
        similar = [p.name for p in root.parent.glob("*") if p.is_dir()] if root.name else []
        hint = "" if root.is_dir() else augspec.meant(root.name, similar)
        raise CollectError(f"{root} is no folder of a submission or a run: {what}{hint}")


def _swept(places: Sequence[tuple[Path, Point]]) -> tuple[str, ...]:
    """The paths that are swept, without the seed: the same everywhere."""
    (first, point), *others = places
    paths = tuple(path for path in point.values if path != SEED)
    for root, other in others:
        if {path for path in other.values if path != SEED} != set(paths):
            theirs = ", ".join(path for path in other.values if path != SEED) or "nothing"
            ours = ", ".join(paths) or "nothing"
            raise CollectError(
                f"{first} sweeps {ours}, but {root} sweeps {theirs}: collect them one by one"
            )
    return paths


def _read(folder: Path, point: Point) -> _Found | str:
    """A point's results, or why it has none."""
    if not (folder / SUMMARY).is_file():
        return "not finished" if (folder / ENVIRONMENT).is_file() else "not started"
    try:
        summary = read_summary(folder / SUMMARY)
    except (OSError, ValueError) as error:
        return f"its results cannot be read: {error}"
    seed, settings = read_settings(folder)
    values = {path: value for path, value in point.values.items() if path != SEED}
    return _Found(folder, values, seed, settings, summary)


def _grouped(found: Sequence[_Found]) -> list[list[_Found]]:
    """The runs at each point of the sweep, which differ in seeds."""
    groups: dict[str, list[_Found]] = {}
    for run in found:
        groups.setdefault(json.dumps(run.point, sort_keys=True), []).append(run)
    return list(groups.values())


def _require_alike(groups: Sequence[Sequence[_Found]], paths: Sequence[str]) -> None:
    for group in groups:
        first = group[0]
        _check(groups[0][0], first, paths)
        for other in group[1:]:
            _check(first, other, None)
            if other.summary.data != first.summary.data:
                message = f"{first.folder} was measured on {first.summary.data!r}, but "
                raise CollectError(f"{message}{other.folder} on {other.summary.data!r}")


def _check(first: _Found, other: _Found, swept: Sequence[str] | None) -> None:
    here, there = first.folder, other.folder
    require_alike(first.settings, here, other.settings, there, swept=swept)


def _rows(group: Sequence[_Found]) -> Iterator[Row]:
    """A row for every baseline and arm at one point of the sweep."""
    samples: dict[tuple[bool, str], dict[int, tuple[_Found, ArmResult]]] = {}
    for run in group:
        summary = run.summary
        for trained, arms in ((True, summary.arms), (False, summary.baselines)):
            for arm in arms:
                seed = run.seed if arm.seed is None else arm.seed
                seeds = samples.setdefault((trained, arm.name), {})
                if seed in seeds:
                    twice = f"seed {seed} of {arm.name} is there twice"
                    raise CollectError(f"{twice}: in {seeds[seed][0].folder} and {run.folder}")
                seeds[seed] = run, arm
    for (trained, name), seeds in samples.items():
        values: dict[str, dict[int, float]] = {}
        for seed, (_, arm) in sorted(seeds.items()):
            for metric, value in metrics_of(arm).items():
                values.setdefault(metric, {})[seed] = value
        random = any(arm.seed is not None for _, arm in seeds.values())
        yield Row(name, group[0].point, values, trained=trained, random=random)


def _bases(found: Sequence[_Found], rows: Sequence[Row], base: str | None) -> dict[str, str]:
    """The arm whose numbers are subtracted, for every arm that has one."""
    arms = list(dict.fromkeys(row.arm for row in rows if row.trained))
    if base is None:
        return {arm: its for run in found for arm, its in bases(run.settings).items()}
    names = list(dict.fromkeys([*arms, *(row.arm for row in rows)]))
    if base not in names:
        hint = augspec.meant(base, names)
        raise CollectError(f"no arm is called {base!r}{hint} (arms: {', '.join(names)})")
    return {arm: base for arm in arms if arm != base}


def _once(rows: Sequence[Row]) -> Iterator[Row]:
    """Baselines first and, where the sweep does not touch them, for all points together."""
    baselines: dict[str, list[Row]] = {}
    for row in rows:
        if not row.trained:
            baselines.setdefault(row.arm, []).append(row)
    for same in baselines.values():
        values = {metric: dict(seeds) for metric, seeds in same[0].values.items()}
        equal = all(
            row.values.keys() == values.keys()
            and row.values[metric].keys() & seeds.keys()
            and all(seeds.setdefault(seed, v) == v for seed, v in row.values[metric].items())
            for row in same
            for metric, seeds in values.items()
        )
        yield from [replace(same[0], point={}, values=values)] if equal else same
    yield from (row for row in rows if row.trained)


def _notes(found: Sequence[_Found]) -> Iterator[str]:
    """What ran differently, where the numbers may tell."""
    environments = [environment(run.folder) for run in found]
    for label, path in ENVIRONMENTS.items():
        counts: dict[str, int] = {}
        for recorded in environments:
            value: Any = recorded
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
            counts[text or "none"] = counts.get(text or "none", 0) + 1
        if len(counts) > 1:
            listed = ", ".join(
                f"{value} ({count} of {len(found)})" for value, count in counts.items()
            )
            yield f"not all runs had the same {label}: {listed}"
