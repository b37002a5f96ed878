"""The real command in a process of its own."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPT = Path(sysconfig.get_path("scripts")) / "equimod"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def assigned(sets: list[str]) -> list[str]:
    """The words of a command that make these assignments."""
    return [word for assignment in sets for word in ("--set", assignment)]


def torchrun(*options: str) -> list[str]:
    """A launcher that speaks on a port of this machine, up to the command that it starts."""
    port = random.randrange(20_000, 60_000)
    return [sys.executable, "-m", "torch.distributed.run", f"--master-port={port}", *options]


@contextmanager
def equimod(*words: str | Path, sets: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The command, which is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, words), *assigned(sets)],
        env=os.environ | ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_steps(process: subprocess.Popen[str]) -> None:
    """Until the process says that it has done some steps."""
    for line in process.stdout:
        if " step " in line:
            return
    pytest.fail(f"it ended before its first step: {process.stderr.read()}")
