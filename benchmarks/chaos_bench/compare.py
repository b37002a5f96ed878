"""Whether two arms' folders tell of the same training, bit for bit."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from equimod.records import METRICS, read_metrics
from equimod.training.checkpoint import CHECKPOINT, load_checkpoint
from equimod.training.trainer import SAVES


def steps_done(arm: Path) -> int:
    """The last step that the arm's record tells of."""
    records = read_metrics(arm / METRICS)
    return int(records[-1]["step"]) if records else 0


def differences(mine: Path, theirs: Path) -> list[str]:
    """In what two arms differ: weights, optimiser, counters, records, curves."""
    found = []
    one, other = (load_checkpoint(folder / CHECKPOINT) for folder in (mine, theirs))
    if one.tensors.keys() != other.tensors.keys():
        found.append("the names of the tensors")
    found += [
        name
        for name in sorted(one.tensors.keys() & other.tensors.keys())
        if not torch.equal(one.tensors[name], other.tensors[name])
    ]
    headers = [{k: v for k, v in each.header.items() if k != "seconds"} for each in (one, other)]
    if headers[0] != headers[1]:
        found.append("the header")
    if (mine / METRICS).read_bytes() != (theirs / METRICS).read_bytes():
        found.append(METRICS)
    if scalars(mine) != scalars(theirs):
        found.append("the TensorBoard curves")
    return found


def scalars(arm: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that TensorBoard shows."""
    events = EventAccumulator(str(arm / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def saves(arm: Path) -> str:
    """How many checkpoints were written, how large, and how long it took."""
    lines = (arm / SAVES).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    seconds = sorted(record["seconds"] for record in records)
    middle, most = (1000 * value for value in (statistics.median(seconds), seconds[-1]))
    return (
        f"{len(records)} written of {records[-1]['bytes'] / 2**20:.1f} MB, "
        f"{middle:.0f} ms in the median, most {most:.0f} ms"
    )
