"""How time and memory grow with the batch and with the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline_bench.stage import VIEWS, Conditions, Measured, Stage
from pipeline_bench.timing import Quartiles
from pipeline_bench.workloads import WORKLOADS, Workload

MEMORY = 8 * 2**30
"""Bytes that a contestant may need at once; larger sizes are left out."""


@dataclass(frozen=True)
class Sweep:
    """One size that grows, and the others that stay.

    Attributes:
        name: for files.
        title: for people.
        axis: what grows: `batch`, or `size` (the view's side in pixels).
        workloads: from small to large.
    """

    name: str
    title: str
    axis: str
    workloads: tuple[Workload, ...]

    def place(self, workload: Workload) -> int:
        """Where a workload stands on the axis."""
        return workload.batch if self.axis == "batch" else workload.recipe().size


def sweeps(batches: Sequence[int], sizes: Sequence[int], batch: int) -> Iterator[Sweep]:
    """Batches at 32 and at 224 pixels, and pixels at one batch.

    Args:
        batches: numbers of images.
        sizes: sides of the view, pixels; the source's side is 8/7 of it, as 256 is of 224.
        batch: number of images while the size grows.
    """
    cifar, imagenet = WORKLOADS["cifar"], WORKLOADS["imagenet"]
    small = tuple(cifar.resized(n, 32, 32) for n in batches)
    large = tuple(imagenet.resized(n, 256, 224) for n in batches)
    grown = tuple(imagenet.resized(batch, round(s * 8 / 7), s) for s in sizes)
    yield Sweep("batch-32", "SimCLR-CIFAR, 32 → 32", "batch", small)
    yield Sweep("batch-224", "SimCLR-ImageNet, 256 → 224", "batch", large)
    yield Sweep("size", f"SimCLR-ImageNet, batch {batch}", "size", grown)


def grow(
    sweep: Sweep,
    names: Sequence[str],
    conditions: Conditions,
    repeats: int,
    told: Callable[[str], None],
) -> dict[str, Any]:
    """Measures some contestants along a sweep, as a document for the report."""
    points: list[dict[str, Any]] = []
    needed = dict.fromkeys(names, 0.0)
    before: Workload | None = None
    for workload in sweep.workloads:
        growing = workload.view_bytes() / before.view_bytes() if before else 1.0
        fitting = [name for name in names if needed[name] * growing <= MEMORY]
        with Stage(fitting, conditions) as stage:
            done, _ = stage.perform(workload, repeats, told=told)
        points += [_point(sweep, workload, name, one) for name, one in done.items()]
        needed = {
            name: float(done[name].peak or 0) if name in done else needed[name] * growing
            for name in names
        }
        before = workload
    return {"name": sweep.name, "title": sweep.title, "axis": sweep.axis, "points": points}


def _point(sweep: Sweep, workload: Workload, name: str, measured: Measured) -> dict[str, Any]:
    times = Quartiles.of(measured.times[VIEWS])
    return {
        "at": sweep.place(workload),
        "contestant": name,
        "batch": workload.batch,
        "milliseconds": times.document(),
        "images_per_second": times.rate(workload.batch).document(),
        "peak_bytes": measured.peak,
        "view_bytes": workload.view_bytes(),
    }
