"""augspec's pipelines beside kornia, torchvision and albumentations: speed, memory and growth.

    python benchmarks/pipelines.py --photos ../shared/data/photos

Times the two augmented views of SimCLR's recipes on ImageNet (from uint8 256 x 256, and from JPEG
photographs) and on CIFAR, and writes `pipelines.md`, `pipelines.json`, `pipelines.png` and
`pipelines-growth.png` to `docs/benchmarks/`. All contestants run in turns, each in its own process;
see `benchmarks/pipeline_bench/` for what they are. A quarter of an hour on two cores; wants a quiet
machine, because two cores that somebody else uses are no two cores. albumentations is not part of
the project: `pip install albumentations`, or it is left out.

On a GPU, `--device cuda` runs the first and the last workload with 1024 images a batch; the floor
is then the time to read the source once and to write the views once.
"""

from __future__ import annotations

import datetime
import json
import os
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from cyclopts import App, Parameter
from pipeline_bench.command import UsageError, run, tell
from pipeline_bench.growth import grow, sweeps
from pipeline_bench.machine import describe
from pipeline_bench.plot import draw_growth, draw_rates
from pipeline_bench.report import markdown
from pipeline_bench.roster import REFERENCE, contestants
from pipeline_bench.stage import VIEWS, Conditions, Measured, Stage
from pipeline_bench.timing import Quartiles
from pipeline_bench.workloads import ROOT, WORKLOADS, Workload

import augspec
from augspec import write_atomically

PHOTOS = ROOT.parent / "shared" / "data" / "photos"
app = App(name="pipelines.py", help=__doc__, help_format="plaintext")


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        batches: images a batch, by workload; those left out keep their own.
        repeats: timed calls of each contestant.
        grown_batches: the batches of the growth tables.
        grown_sizes: the sides of theirs, pixels.
        grown_batch: images a batch while the side grows.
        grown_repeats: timed calls at each point.
    """

    batches: dict[str, int]
    repeats: int
    grown_batches: tuple[int, ...]
    grown_sizes: tuple[int, ...]
    grown_batch: int
    grown_repeats: int


FULL = Effort({}, 9, (16, 64, 256, 1024), (32, 96, 224, 384), 64, 5)
GPU = replace(FULL, batches=dict.fromkeys(WORKLOADS, 1024))
QUICK = Effort({"imagenet": 4, "photographs": 4, "cifar": 8}, 2, (2, 4), (32, 48), 2, 1)


@app.default
def pipelines(
    *,
    photos: Path = PHOTOS,
    out: Path | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    threads: int = 2,
    repeats: int | None = None,
    quick: bool = False,
    growth: bool = True,
    only: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    workloads: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
) -> None:
    """Measures, prints the table, and writes table, numbers and pictures.

    Args:
        photos: a folder of JPEG photographs.
        out: where the results go; docs/benchmarks, or runs/benchmarks with --quick.
        device: where the views are made.
        threads: CPU threads, or worker processes, of each contestant.
        repeats: timed calls of each contestant; 9, or 2 with --quick.
        quick: tiny batches, to see that everything runs.
        growth: whether the growth tables are measured too.
        only: names of contestants; all if left out.
        workloads: names of workloads; all if left out.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no CUDA GPU here; allowed: cpu")
    if threads < 1:
        raise UsageError(f"--threads {threads}: must be 1 or more")
    if repeats is not None and repeats < 1:
        raise UsageError(f"--repeats {repeats}: must be 1 or more")
    if not any(photos.glob("*.jpg")):
        raise UsageError(f"no photographs (*.jpg) in {photos}: name a folder with --photos")
    out = out or ROOT / ("runs/benchmarks" if quick else "docs/benchmarks")
    effort = QUICK if quick else GPU if device == "cuda" else FULL
    effort = replace(effort, repeats=repeats or effort.repeats)
    every = contestants(device)
    names = _chosen("--only", only, list(every))
    works = _chosen("--workloads", workloads, list(WORKLOADS))
    if device == "cuda":
        works = [work for work in works if not WORKLOADS[work].ragged]
    # read by OpenMP when a contestant's process starts
    os.environ["OMP_NUM_THREADS"] = str(threads)
    conditions = Conditions(photos.resolve(), device, threads)
    document: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/pipelines.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "quick": quick,
        "repeats": effort.repeats,
        "machine": describe(device, threads),
        "workloads": [],
        "growth": [],
    }
    for work in works:
        workload = WORKLOADS[work]
        workload = replace(workload, batch=effort.batches.get(work, workload.batch))
        document["workloads"].append(_compare(workload, names, conditions, effort.repeats))
    ours = next((name for name in names if name.startswith("augspec")), None)
    growing = [name for name in names if name in (REFERENCE, ours)]
    if growth and growing:
        plans = sweeps(effort.grown_batches, effort.grown_sizes, effort.grown_batch)
        document["growth"] = [
            grow(sweep, growing, conditions, effort.grown_repeats, tell) for sweep in plans
        ]
    _write(document, out)


def _compare(
    workload: Workload, names: list[str], conditions: Conditions, repeats: int
) -> dict[str, Any]:
    """All contestants on one workload, as a document for the report."""
    every = contestants(conditions.device)
    present = [name for name in names if not every[name].missing()]
    with Stage(present, conditions) as stage:
        done, failed = stage.perform(workload, repeats, told=tell)
    failed |= {n: f"{every[n].missing()} is not installed" for n in names if n not in present}
    return {
        "name": workload.name,
        "title": workload.title,
        "recipe": workload.recipe_name,
        "batch": workload.batch,
        "view_bytes": workload.view_bytes(),
        "results": [
            _result(name, done[name], workload, conditions.device) for name in names if name in done
        ],
        "absent": {every[name].label: why for name, why in failed.items()},
    }


def _result(name: str, measured: Measured, workload: Workload, device: str) -> dict[str, Any]:
    contestant = contestants(device)[name]
    times = {part: Quartiles.of(values) for part, values in measured.times.items()}
    whole = times.pop(VIEWS)
    return {
        "name": name,
        "label": contestant.label,
        "floor": contestant.floor,
        "note": measured.note,
        "milliseconds": whole.document(),
        "images_per_second": whole.rate(workload.batch).document(),
        "parts": {part: quartiles.document() for part, quartiles in times.items()},
        "peak_bytes": measured.peak,
        "outputs": measured.outputs,
    }


def _chosen(option: str, asked: list[str] | None, known: list[str]) -> list[str]:
    """The names that were asked for, in the order of those that are known.

    Raises:
        UsageError: one is not known.
    """
    for name in asked or []:
        if name not in known:
            hint = augspec.meant(name, known)
            raise UsageError(f"{option} {name}: unknown{hint} (allowed: {', '.join(known)})")
    return [name for name in known if asked is None or name in asked]


def _write(document: dict[str, Any], out: Path) -> None:
    page = markdown(document)
    write_atomically(out / "pipelines.json", json.dumps(document, indent=1) + "\n")
    write_atomically(out / "pipelines.md", page)
    draw_rates(document, out / "pipelines.png")
    if document["growth"]:
        draw_growth(document, out / "pipelines-growth.png")
    print(page)
    tell(f"written to {out}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command, and returns its status."""
    return run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
