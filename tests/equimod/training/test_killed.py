"""A training that is killed while it writes a checkpoint goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from equimod.config import load_run
from equimod.training.checkpoint import CHECKPOINT, load_checkpoint, load_header

STEPS = 24
SETS = [
    "arms={}",
    "method={name: byol, hidden: 1024, dim: 512, ema_start: 0.9}",
    "equimod={hidden: 16, dim: 8}",
    "training.optimizer={name: lars, lr: 0.5}",
    "training.epochs=4",
    "training.log_every=1",
    "training.accelerator=cpu",
]
"""A checkpoint of some 30 MB, which takes longer to write than a step takes."""

EACH_STEP = [*SETS, "training.checkpoint_minutes=0"]

MOMENTS = (0.0, 0.5, 0.99)
"""Parts of a checkpoint that are written when the kill comes: none, half, all but the rename."""

NURSERY = """
import os, sys
from pathlib import Path
import torch
from equimod.config import load_run
from equimod.training.devices import make_fabric
from equimod.training.interrupt import StopFlag
from equimod.training.trainer import Trainer

document, folder, *sets = sys.argv[1:]
run = load_run(Path(document), sets)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        torch.set_num_threads(1)
        fabric = make_fabric(run.shared)
        fabric.launch()
        data = run.shared.data.build("train", run.base)
        Trainer(run.shared, run.spec, data, Path(folder), fabric, StopFlag()).run()
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Starts a training for each line that it reads, without importing torch each time; tells its
number and how it ended."""


@contextmanager
def nursery(document: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that starts trainings, gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(document), str(folder), *EACH_STEP],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def step(folder: Path) -> int:
    """Of the checkpoint, which is whole at any time; 0 before the first one."""
    path = folder / CHECKPOINT
    return int(load_header(path)["step"]) if path.is_file() else 0


def written(folder: Path, pid: int) -> int:
    """Bytes that the process has written of a checkpoint; -1 if it writes none."""
    with suppress(FileNotFoundError):
        return (folder / f".{CHECKPOINT}.{pid}.tmp").stat().st_size
    return -1


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that TensorBoard shows."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    names = events.Tags()["scalars"]
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in names}


def test_killed_while_it_writes(tiny: Path, make_trainer: Callable, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    make_trainer(load_run(tiny, SETS), whole).run()
    size = (whole / CHECKPOINT).stat().st_size
    hits = []
    with nursery(tiny, killed) as process:

        def start() -> int:
            process.stdin.write("again\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        for part in MOMENTS * 2:
            before, pid = step(killed), start()
            end = time.monotonic() + 60
            while step(killed) == before or written(killed, pid) < part * size:
                assert time.monotonic() < end, "it writes no checkpoint"
            os.kill(pid, signal.SIGKILL)
            assert process.stdout.readline() == f"{-signal.SIGKILL}\n"
            if written(killed, pid) >= 0:
                hits.append(part)
        assert len(MOMENTS) < step(killed) < STEPS
        start()
        assert process.stdout.readline() == "0\n"
    assert hits, "no kill came while a checkpoint was written"
    ours, theirs = (load_checkpoint(folder / CHECKPOINT) for folder in (killed, whole))
    assert ours.header | {"seconds": 0} == theirs.header | {"seconds": 0}
    assert ours.tensors.keys() == theirs.tensors.keys()
    for name, tensor in theirs.tensors.items():
        assert torch.equal(ours.tensors[name], tensor), name
    assert (killed / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    assert scalars(killed) == scalars(whole)
    assert not list(killed.glob(".*"))
