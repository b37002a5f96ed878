"""What the command line does with a run: train it, measure it again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from augspec import LayoutMismatchError
from equimod.config import Run, load_run
from equimod.data import DataError
from equimod.training.allocator import keep_freed_memory
from equimod.training.checkpoint import CheckpointError
from equimod.training.folder import RunFolder
from equimod.training.interrupt import InterruptedRunError, StopFlag
from equimod.training.run import Execution

MISTAKE, INTERRUPTED = 2, 130


def train_run(run: Run, root: Path, restart: bool) -> int:
    """Trains and measures a run.

    Args:
        run: what to do.
        root: the folder for the results.
        restart: delete what was trained there before.

    Returns:
        The exit status: 0, 2 for a user's mistake, 130 when interrupted.
    """
    folder = RunFolder(root)

    def work(console: Console, stop: StopFlag) -> None:
        if restart:
            folder.clear(run)
        console.print(f"run     {run.name}: {', '.join(run.arms)}")
        Execution(run, folder, Path.cwd(), console, stop).execute()

    return _guarded(work)


def evaluate_run(root: Path, overrides: Sequence[str]) -> int:
    """Measures a trained run again.

    Args:
        root: the run's folder.
        overrides: assignments inside `evaluation` or `data`.

    Returns:
        The exit status, see `train_run`.
    """
    folder = RunFolder(root)
    if not folder.document.is_file():
        return _mistake(f"{root} is no run folder: it has no {folder.document.name}")
    for assignment in overrides:
        if not assignment.startswith(("evaluation.", "data.")):
            return _mistake(f"eval cannot change {assignment!r}: only evaluation.* and data.*")
    run = load_run(folder.document, overrides)

    def work(console: Console, stop: StopFlag) -> None:
        Execution(run, folder, folder.working_folder(), console, stop).evaluate()

    return _guarded(work)


def _guarded(work: Callable[[Console, StopFlag], None]) -> int:
    """Runs `work` and turns what a user can mend into one message and an exit status."""
    keep_freed_memory()
    stop = StopFlag()
    try:
        with stop.listening():
            work(Console(), stop)
    except InterruptedRunError as interruption:
        print(f"{interruption}; the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except (CheckpointError, DataError, LayoutMismatchError, FloatingPointError) as error:
        return _mistake(str(error))
    return 0


def _mistake(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return MISTAKE
