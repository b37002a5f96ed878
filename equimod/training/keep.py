"""Which checkpoints of an arm stay: the last one, the best one, and one every so many epochs.

They are names of files that were written once: a kept checkpoint is a hard link to what was the
last one, and takes its own room on the disk only when the last one has been replaced.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from augspec import meant, write_atomically
from equimod.training.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    load_header,
)

T = TypeVar("T")

SUFFIX = ".safetensors"
LAST, BEST = CHECKPOINT.removesuffix(SUFFIX), "best"


def epoch_name(epoch: int) -> str:
    """The name of the checkpoint that is kept after an epoch, such as `epoch-00020`."""
    return f"epoch-{epoch:05d}"


def checkpoint_file(folder: Path, name: str = LAST) -> Path:
    """The file of a checkpoint of an arm.

    Args:
        folder: of the arm.
        name: `last`, `best`, or the name of an epoch's.

    Raises:
        CheckpointError: there is no such checkpoint; the message lists those that there are.
    """
    path = folder / (name + SUFFIX)
    if name != LAST and not path.is_file():
        known = sorted(found.name.removesuffix(SUFFIX) for found in folder.glob("*" + SUFFIX))
        there = f"there: {', '.join(known) or 'none'}"
        raise CheckpointError(f"no checkpoint {name!r} in {folder} ({there}){meant(name, known)}")
    return path


def keep(folder: Path, names: Sequence[str]) -> None:
    """Lets the last checkpoint stay under other names.

    Raises:
        OSError: the folder cannot be written to.
    """
    for name in names:
        path, temporary = folder / (name + SUFFIX), folder / f".{name}{SUFFIX}.{os.getpid()}.tmp"
        temporary.unlink(missing_ok=True)
        try:
            os.link(folder / CHECKPOINT, temporary)
            temporary.replace(path)
        except OSError:  # some file systems have no hard links
            write_atomically(path, (folder / CHECKPOINT).read_bytes())


def keep_missing(folder: Path, step: int, names: Sequence[str]) -> None:
    """Does again what a kill between the writing of a checkpoint and `keep` has prevented."""
    missing = [name for name in names if _step(folder / (name + SUFFIX)) != step]
    if missing:
        keep(folder, missing)


def newest_whole(folder: Path) -> tuple[Path, Checkpoint] | None:
    """The checkpoint from which an arm goes on; None where it has none.

    That is the last one; where that is damaged or gone, the newest of the kept ones: the steps in
    between are done again, with the same outcome.

    Raises:
        CheckpointError: there are some, and each is damaged.
    """
    return _newest(folder, load_checkpoint, warn=True)


def newest_header(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The header of `newest_whole`, as far as headers tell whether a checkpoint is whole.

    Raises:
        CheckpointError: see `newest_whole`.
    """
    return _newest(folder, load_header)


def _newest(
    folder: Path, read: Callable[[Path], T], *, warn: bool = False
) -> tuple[Path, T] | None:
    """The newest checkpoint that can be read, and what it holds; None where there is none.

    Raises:
        CheckpointError: there are some, and none can be read.
    """
    last = folder / CHECKPOINT
    try:
        return last, read(last)
    except CheckpointError as error:
        kept = _kept(folder)
        for other in kept:
            with suppress(CheckpointError):
                found = other, read(other)
                if warn:
                    print(f"warning: {error}; going on from {other.name}", file=sys.stderr)
                return found
        if not last.is_file() and not kept:
            return None
        raise


def _kept(folder: Path) -> list[Path]:
    """The kept checkpoints, the newest first."""
    files = [path for path in folder.glob("*" + SUFFIX) if path.name != CHECKPOINT]
    return sorted(files, key=_step, reverse=True)


def _step(path: Path) -> int:
    try:
        return int(load_header(path)["step"])
    except (CheckpointError, KeyError):
        return -1
