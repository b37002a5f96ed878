"""What a dry run has found, as a table for the console: a row for each arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from equimod.config import Run
from equimod.training.dry_run import ArmCheck
from equimod.training.schedule_points import POINTS

GIB = 2**30

COLUMNS = ("parameters, M", "shapes", "steps", "schedule", "GiB")


def check_table(run: Run, checks: Sequence[ArmCheck], gpu_memory: float | None = None) -> Group:
    """The table of a run, with a warning for each arm that needs too much memory.

    Args:
        run: the run.
        checks: of its arms.
        gpu_memory: GiB of a GPU; None for no warnings.
    """
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(overflow="fold", min_width=8)
    for column in COLUMNS:
        table.add_column(column, no_wrap=True)
    for check in checks:
        cells = (Text("\n".join(lines)) for lines in _cells(check))
        # Text, not markup: a name may hold square brackets
        table.add_row(Text(check.name.replace("+", "\n+"), "bold"), *cells, end_section=True)
    notes = [Text(note, "dim") for note in _notes(run, checks)]
    limit = gpu_memory if gpu_memory is not None else float("inf")
    for check in checks:
        if check.memory.peak > limit * GIB:
            found = f"arm {check.name}: about {_gib(check.memory.peak)} GiB of tensors in each "
            found += f"process, and the GPU has {limit:g}: use more devices, or a smaller batch"
            notes.append(Text(f"warning: {found}", "yellow"))
    return Group(Text(run.name, "bold"), table, *notes, Text())


def _cells(check: ArmCheck) -> list[list[str]]:
    points, memory = check.points, check.memory
    counts = {"encoder": check.encoder, "heads": check.heads, "target": check.target}
    parameters = [f"{count / 1e6:.2f} {name}" for name, count in counts.items() if count]
    sizes = Counter(check.views.values())
    shapes = [f"{count} of {height}x{width}" for (height, width), count in sizes.items()]
    shapes += [f"{name} {width}" for name, width in check.widths.items()]
    shapes += [f"code {check.code}"] if check.code is not None else []
    schedule = [f"lr {line}" for line in _at_points(points.rates)]
    if points.weights is not None:
        schedule += [f"\u03bb {line}" for line in _at_points(points.weights)]
    parts = {"peak": memory.peak, "weights": memory.weights, "grads": memory.gradients}
    parts |= {"optim.": memory.optimizer, "views": memory.rest}
    held = [f"{_gib(size)} {name}" for name, size in parts.items()]
    return [parameters, shapes, _steps(check), schedule, held]


def _steps(check: ArmCheck) -> list[str]:
    points = check.points
    lines = [f"{check.batch:,} images"]
    lines += [f"{check.process_batch:,} each"] if check.process_batch != check.batch else []
    lines += [f"{points.epochs:,} epochs"]
    if points.steps is None:
        return lines
    lines += [f"of {points.epoch_steps:,}", f"= {points.steps:,}"]
    return lines + ([f"warm-up {points.warmup:,}"] if points.warmup else [])


def _at_points(values: Sequence[float]) -> list[str]:
    if len(set(values)) == 1:
        return [f"{values[0]:.4g}"]
    told = [f"{value:.4g} {point}" for point, value in zip(POINTS, values, strict=True)]
    return told[:1] + told[2:] if values[0] == values[1] else told  # without warm-up


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}" if size >= GIB else f"{size / GIB:.3f}"


def _notes(run: Run, checks: Sequence[ArmCheck]) -> list[str]:
    known = run.shared.data.known()
    notes = []
    if any(check.points.steps is None for check in checks):
        notes.append("how many images there are is not known without them: say it with --images")
    elif run.shared.data.source == "folder" and known.images is not None:
        notes.append(f"{known.images:,} images, by the folder's name, if --images does not say it")
    taken = [f"{check.name} {check.loss:.3f}" for check in checks if check.loss is not None]
    if taken:
        notes.append(f"loss of a real step on a few random images: {', '.join(taken)}")
    else:
        notes.append("too large for a real step here: taken on tensors without data")
    notes.append("memory: tensors of one process, without what rendering views takes in between")
    return notes
