"""What the command line does with a run: train it, measure it again, check it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from augspec import LayoutMismatchError
from equimod.config import Run, load_run
from equimod.data import DataError
from equimod.distributed import leave, rank
from equimod.exits import INTERRUPTED, mistake
from equimod.training.allocator import keep_freed_memory
from equimod.training.check_table import check_table
from equimod.training.checkpoint import CheckpointError
from equimod.training.devices import DeviceError
from equimod.training.dry_run import DryRunError, check_run
from equimod.training.folder import RunFolder
from equimod.training.interrupt import InterruptedRunError, StopFlag
from equimod.training.keep import LAST
from equimod.training.lock import LockedError
from equimod.training.run import Execution


def train_run(
    run: Run, root: Path, restart: bool, *, measure: bool = True, patience: float = 0.0
) -> int:
    """Trains and measures a run.

    Args:
        run: what to do.
        root: the folder for the results.
        restart: delete what was trained there before.
        measure: measure it, too; otherwise `evaluate_run` does, at another time.
        patience: seconds to wait for another process that works in the folder.

    Returns:
        The exit status: 0, 2 for a user's mistake, 130 when interrupted.
    """
    folder = RunFolder(root)

    def work(console: Console) -> None:
        execution = Execution(run, folder, Path.cwd(), console)
        with execution.alone_in(folder, patience):
            (execution.execute if measure else execution.train_arms)(StopFlag(), restart=restart)

    return _guarded(work, "the same command, without --restart," if restart else "the same command")


def evaluate_run(
    root: Path,
    overrides: Sequence[str],
    augmentations: Path | None = None,
    *,
    checkpoint: str = LAST,
    patience: float = 0.0,
) -> int:
    """Measures a trained run again.

    Args:
        root: the run's folder.
        overrides: assignments inside `evaluation` or `data`.
        augmentations: measure on the views of this spec; the results get a folder of their own.
        checkpoint: which checkpoint of each arm; for another than the last, the same.
        patience: seconds to wait for another process that writes there.

    Returns:
        The exit status, see `train_run`.
    """
    folder = RunFolder(root)
    if not folder.document.is_file():
        return mistake(f"{root} is no run folder: it has no {folder.document.name}")
    for assignment in overrides:
        if not assignment.startswith(("evaluation.", "data.")):
            return mistake(f"eval cannot change {assignment!r}: only evaluation.* and data.*")
    if augmentations is not None and not augmentations.is_file():
        return mistake(f"no augmentation spec at {augmentations}")
    trained = load_run(folder.document, overrides)
    run, results = trained, folder
    if augmentations is not None:
        spec = f"augmentations={json.dumps(str(augmentations.resolve()))}"
        run = load_run(folder.document, [*overrides, spec])
    names = [augmentations.stem] if augmentations is not None else []
    names += [checkpoint] if checkpoint != LAST else []
    if names:
        results = RunFolder(root / f"with-{'-'.join(names)}")

    def work(console: Console) -> None:
        base, origin = folder.working_folder(), (trained.spec, folder)
        execution = Execution(run, results, base, console, trained=origin)
        # of the run itself, it only reads, and checkpoints are replaced as a whole: what a training
        # has kept can be measured while the training goes on
        with execution.alone_in(results, patience):
            execution.evaluate(checkpoint)

    return _guarded(work, "the same command")


def check_runs(runs: Sequence[Run], images: int | None, gpu_memory: float | None) -> int:
    """Checks runs without their data, and shows a table for each.

    Args:
        runs: which.
        images: how many images the train split has; None for what their configurations tell.
        gpu_memory: GiB of a GPU, to warn of arms that need more.

    Returns:
        The exit status: 0, or 2 for a user's mistake.
    """
    for what, number in (("--images", images), ("--gpu-memory", gpu_memory)):
        if number is not None and number <= 0:
            return mistake(f"{what} must be more than 0, got {number:g}")

    def work(console: Console) -> None:
        for run in runs:
            with console.status(f"checking {run.name}"):
                checks = list(check_run(run, images))
            console.print(check_table(run, checks, gpu_memory))

    return _guarded(work, "the same command")


TOGETHER = (InterruptedRunError, FloatingPointError)
"""What ends all processes after the same step."""

MENDABLE = (
    CheckpointError,
    DataError,
    DeviceError,
    DryRunError,
    LayoutMismatchError,
    LockedError,
    OSError,
)
"""What else is no bug, but for the user to mend."""


def _guarded(work: Callable[[Console], None], again: str) -> int:
    """Runs `work` and turns what a user can mend into one message and an exit status."""
    keep_freed_memory()
    try:
        work(Console())
    except TOGETHER as error:
        if rank():
            return 0  # the first process speaks; Lightning kills it if another one fails before
        if not isinstance(error, InterruptedRunError):
            return mistake(error)
        print(f"{error}; {again} goes on from there", file=sys.stderr)
        return INTERRUPTED
    except MENDABLE as error:
        return mistake(error)
    finally:
        leave()
    return 0
