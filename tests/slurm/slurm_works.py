"""What the jobs of these tests do."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from slurm.files import write_atomically


@dataclass(frozen=True)
class Count:
    """Counts, five times a second, and keeps where it is in a file when it is asked to stop.

    Attributes:
        file: where it keeps it.
        to: where it ends.
        dies_at: where it kills one of its processes, once.
        raises_at: where it raises an error, each time.
        saves: whether it listens to signals at all.
        status: what it returns in the end.
    """

    file: Path
    to: int
    dies_at: int = -1
    raises_at: int = -1
    saves: bool = True
    status: int = 0

    def __call__(self) -> int:
        rank = int(os.environ["RANK"])
        at = begun = json.loads(self.file.read_text()) if self.file.exists() else 0
        print(f"rank {rank} of {os.environ['WORLD_SIZE']} counts from {at}", flush=True)
        heard: list[int] = []
        if self.saves:
            for number in (signal.SIGUSR2, signal.SIGTERM):
                signal.signal(number, lambda number, frame: heard.append(number))
        while at < self.to:
            time.sleep(0.2)
            at += 1
            if at == self.raises_at:
                raise RuntimeError(f"cannot count beyond {at}")
            if at == self.dies_at and not begun:
                if rank == 0:
                    write_atomically(self.file, json.dumps(at))
                time.sleep(0.5)
                if rank == int(os.environ["WORLD_SIZE"]) - 1:
                    os.kill(os.getpid(), signal.SIGKILL)
            if heard:
                if rank == 0:
                    write_atomically(self.file, json.dumps(at))
                print(f"rank {rank} stopped at {at} by {heard}", flush=True)
                return 130
        return self.status


@dataclass(frozen=True)
class Allocate:
    """Asks for more memory than the job has, the first time."""

    file: Path
    megabytes: int

    def __call__(self) -> int:
        if not self.file.exists():
            self.file.touch()
            block = bytearray(self.megabytes * 2**20)
            block[::4096] = b"\1" * len(block[::4096])
            time.sleep(30)
        return 0
