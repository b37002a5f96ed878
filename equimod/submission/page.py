"""The page of `equimod collect --report`: how the runs were made is read from their folders."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from augspec import write_atomically
from equimod.records import DOCUMENT, ENVIRONMENT, METRICS, SUMMARY, read_metrics
from equimod.report.collected import Collected
from equimod.report.collected_page import Made, to_page
from equimod.report.results import THROUGHPUT, read_summary

if TYPE_CHECKING:
    from equimod.config import RunConfig


def write_page(
    collected: Collected,
    roots: Sequence[Path],
    path: Path,
    picture: bytes,
    base: str | None = None,
) -> None:
    """Writes the page, and its picture beside it, each atomically.

    Args:
        collected: the tables.
        roots: what `collect` was given.
        path: where the page goes; the picture goes beside it, under its name.
        picture: as PNG.
        base: as `collect` was given.

    Raises:
        OSError: they cannot be written.
        SpecError: a run's document is damaged.
    """
    beside = path.with_suffix(".png")
    words = ["equimod", "collect", *map(str, roots)]
    words += ["--base", base] if base is not None else []
    words += ["--report", str(path)]
    page = to_page(collected, [_made(f) for f in collected.folders], beside.name, shlex.join(words))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page)
    write_atomically(beside, picture)


def _made(folder: Path) -> Made:
    from equimod.config import load_run  # here, since it brings torch along

    run = load_run(folder / DOCUMENT)
    summary = read_summary(folder / SUMMARY)
    speeds = {arm.name: arm.metrics.get(THROUGHPUT, 0.0) for arm in summary.arms}
    return Made(
        minutes=tuple(
            _steps(folder / name) * config.training.batch_size / speeds[name] / 60
            for name, config in run.arms.items()
            if speeds.get(name)
        ),
        environment=environment(folder) or {},
        document=(folder / DOCUMENT).read_text(encoding="utf-8"),
        description=run.shared.description,
        arms={name: _changes(run.shared, config) for name, config in run.arms.items()},
    )


def _steps(folder: Path) -> int:
    """How many steps an arm was trained."""
    return max((record["step"] for record in read_metrics(folder / METRICS)), default=0)


def environment(folder: Path) -> dict[str, Any] | None:
    """What a run ran on; None where that is not recorded."""
    try:
        found = json.loads((folder / ENVIRONMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _changes(shared: RunConfig, config: RunConfig) -> str:
    """In what an arm differs from the first one, as one line of YAML, without what is default."""
    ours, own = (c.model_dump(mode="json", exclude_defaults=True) for c in (shared, config))
    changed = {k: own.get(k) for k in dict.fromkeys([*ours, *own]) if ours.get(k) != own.get(k)}
    if not changed:
        return ""
    yaml = YAML()
    yaml.default_flow_style = True
    yaml.width = 10_000
    stream = io.StringIO()
    yaml.dump(changed, stream)
    return stream.getvalue().strip()
