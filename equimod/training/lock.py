"""One run folder, one process that writes it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

FILE = ".lock"
PAUSE = 0.5


class LockedError(RuntimeError):
    """Another process works in the folder."""


@contextmanager
def locked(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Holds a folder for this process; the system lets go of it when the process ends, however.

    Where the file system has no locks, as some network disks, a warning says so.

    Args:
        folder: of the run; made if it is missing.
        patience: seconds to wait for another process: a job that starts again may meet the last
            moments of its former self.

    Raises:
        LockedError: another process holds it; the message says which.
        OSError: the folder cannot be written to.
    """
    new = not folder.exists()
    with _acquired(folder, patience) as file:
        file.seek(0)
        file.truncate()
        file.write(json.dumps(_myself()))
        file.flush()
        try:
            yield
        finally:
            if new and [path.name for path in folder.iterdir()] == [FILE]:
                # nothing came of it: no folder stays either
                (folder / FILE).unlink()
                folder.rmdir()


def _acquired(folder: Path, patience: float) -> IO[str]:
    end = time.monotonic() + patience
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / FILE).open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _still_there(file, folder / FILE):
                return file
            file.close()  # the last process that held it has removed it
        except BlockingIOError:
            owner = _owner(file)
            file.close()
            if time.monotonic() >= end:
                raise LockedError(f"{folder} is being worked on by {owner}") from None
            time.sleep(PAUSE)
        except OSError as error:
            message = f"warning: {folder} cannot be locked ({error.strerror}): let only one process"
            print(f"{message} work in it", file=sys.stderr)
            return file


def _still_there(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _myself() -> dict[str, str | int]:
    owner: dict[str, str | int] = {"host": socket.gethostname(), "process": os.getpid()}
    job = os.environ.get("SLURM_JOB_ID")
    if job:
        owner["job"] = job
    owner["since"] = datetime.now().astimezone().isoformat(" ", "seconds")
    return owner


def _owner(file: IO[str]) -> str:
    file.seek(0)
    try:
        return ", ".join(f"{name} {value}" for name, value in json.loads(file.read()).items())
    except ValueError:
        return "another process"
