"""The record of a training: `metrics.jsonl` to compute with, TensorBoard to look at."""

from __future__ import annotations

import json
import os
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

import augspec
from equimod.records import METRICS, read_metrics


class MetricsLog:
    """Appends one line a record, and resumes without repeating or losing one.

    Args:
        folder: of the arm; the files are `metrics.jsonl` and `tensorboard/`.
        step: the number of steps done; records of later steps, which an interrupted run wrote after
            its last checkpoint, are dropped, since those steps will be done again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / METRICS
        kept = [record for record in read_metrics(self.path) if record["step"] <= step]
        augspec.write_atomically(self.path, "".join(json.dumps(r) + "\n" for r in kept))
        self._file = self.path.open("a", encoding="utf-8")
        self._tensorboard = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, epoch: float, **values: float) -> None:
        """Records some values.

        Args:
            step: steps done, the one that the values belong to included.
            epoch: epochs done, fractional.
            values: by name.
        """
        record = {"step": step, "epoch": round(epoch, 6), **values}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)

    def sync(self) -> None:
        """Waits until all records are on the disk: a checkpoint must not outlive those before it.

        Raises:
            OSError: the disk is full.
        """
        os.fsync(self._file.fileno())
        self._tensorboard.flush()

    def close(self) -> None:
        """Writes what is pending."""
        self._file.close()
        self._tensorboard.close()
