"""A training step of SimCLR and of EquiMod, split into its parts, and what EquiMod costs.

    python benchmarks/step.py

Takes the step of `equimod train` (the batch from memory, draw, render, encoder, heads and losses,
backward, optimiser) for SimCLR alone (two encoder passes), for EquiMod with `reference: original`
(three) and for EquiMod with `reference: pair` (two: the second view is predicted from the first, by
the relative code), and writes `step.md` and `step.json` to `docs/benchmarks/`. The arms take turns
in one process. The networks and optimisers are those of `specs/runs/simclr-cifar10.yaml`, or, for
`--encoder small`, of `specs/runs/cifar10-cpu.yaml`; the images are rendered shapes of CIFAR-10's
size. About 3 minutes on two CPU cores; wants a quiet machine.

Not included: reading and decoding image files (the images are in memory), the order of an epoch,
checkpoints, the record of metrics beyond reading the losses, evaluation, the first steps (in which
kernels are compiled), several processes, and memory. What the extra buys, this does not say.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from cyclopts import App
from pipeline_bench.command import UsageError, run, tell
from pipeline_bench.machine import describe
from step_bench.report import arm_document, markdown
from step_bench.timed import Reference, StepTime, TimedStep

from augspec import write_atomically
from equimod.config import Run, load_run
from equimod.training.allocator import keep_freed_memory
from equimod.training.devices import make_fabric

ROOT = Path(__file__).parents[1]
RUNS = {"resnet18": "simclr-cifar10", "small": "cifar10-cpu"}
"""The run of each encoder, under `specs/runs`."""
PACKAGES = ("torch", "torchvision", "kornia", "numba", "timm", "lightning-fabric", "numpy")
CPU_BATCH = 64
SIDE = 32
app = App(name="step.py", help=__doc__, help_format="plaintext")

Encoder = Literal["small", "resnet18"]


@dataclass(frozen=True)
class Arm:
    """One of the compared.

    Attributes:
        label: for people.
        arm: of the run.
        reference: what EquiMod predicts from; None for the method alone.
    """

    label: str
    arm: str
    reference: Reference | None


ARMS = {
    "simclr": Arm("SimCLR", "simclr", None),
    "original": Arm("EquiMod, reference: original", "simclr+equimod", "original"),
    "pair": Arm("EquiMod, reference: pair", "simclr+equimod", "pair"),
}
BASE = "simclr"


@app.default
def step(
    *,
    encoder: Encoder | None = None,
    batch: int | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    precision: Literal["32", "bf16"] = "32",
    threads: int = 2,
    repeats: int | None = None,
    quick: bool = False,
    out: Path | None = None,
) -> None:
    """Measures, prints the tables, and writes tables and numbers.

    Args:
        encoder: the network; resnet18, or small with --quick.
        batch: images in a step; 64 on a CPU and the run's own on a GPU, or 8 with --quick.
        device: where the step computes.
        precision: as a run's `training.precision`.
        threads: CPU threads.
        repeats: timed steps of each arm; 15 on a CPU and 30 on a GPU, or 2 with --quick.
        quick: tiny batches, to see that everything runs.
        out: where the results go; docs/benchmarks, or runs/benchmarks with --quick.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no CUDA GPU here; allowed: cpu")
    for option, value, least in (("batch", batch, 2), ("threads", threads, 1)):
        if value is not None and value < least:
            raise UsageError(f"--{option} {value}: must be {least} or more")
    if repeats is not None and repeats < 1:
        raise UsageError(f"--repeats {repeats}: must be 1 or more")
    on_gpu = device == "cuda"
    repeats = repeats or (2 if quick else 30 if on_gpu else 15)
    warmup = 1 if quick else 5 if on_gpu else 2
    encoder = encoder or ("small" if quick else "resnet18")
    batch = batch or (8 if quick else None if on_gpu else CPU_BATCH)
    torch.set_num_threads(threads)
    keep_freed_memory()  # as `equimod train` does
    run = _run(encoder, batch, device, precision, warmup + repeats)
    training = run.shared.training
    document: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/step.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "quick": quick,
        "repeats": repeats,
        "warmup": warmup,
        "machine": _machine(device, threads),
        "run": f"specs/runs/{RUNS[encoder]}.yaml",
        "encoder": encoder,
        "batch": training.batch_size,
        "side": SIDE,
        "optimiser": training.optimizer.name,
        "precision": training.precision,
        "device": device,
    }
    steps = _steps(run)
    times = _measure(steps, repeats, warmup)
    document["arms"] = [
        {
            "name": name,
            "label": ARMS[name].label,
            "reference": ARMS[name].reference,
            "encoder_passes": steps[name].encoder_passes,
            "code_columns": steps[name].code_dim,
            **arm_document(times[name], times[BASE], training.batch_size),
        }
        for name in ARMS
    ]
    _write(document, out or ROOT / ("runs/benchmarks" if quick else "docs/benchmarks"))


def _run(encoder: Encoder, batch: int | None, device: str, precision: str, steps: int) -> Run:
    """The run of an encoder, on as many rendered images as it is to see."""
    path = ROOT / "specs" / "runs" / f"{RUNS[encoder]}.yaml"
    batch = batch or load_run(path).shared.training.batch_size
    data = f"{{source: shapes, train: {batch * steps}, test: 1, size: {SIDE}}}"
    return load_run(
        path,
        [
            f"data={data}",
            f"training.batch_size={batch}",
            f"training.accelerator={device}",
            f"training.precision='{precision}'",
        ],
    )


def _machine(device: str, threads: int) -> dict[str, Any]:
    """What it is measured on, with the versions of what a step is made of."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return describe(device, threads) | {"packages": versions}


def _steps(run: Run) -> dict[str, TimedStep]:
    """Every arm, ready to train."""
    fabric = make_fabric(run.shared)
    fabric.launch()
    tell("rendering the images")
    data = run.shared.data.build("train", run.base)
    return {
        name: TimedStep(
            run.arms[arm.arm], run.spec, data, fabric, reference=arm.reference or "original"
        )
        for name, arm in ARMS.items()
    }


def _measure(
    steps: Mapping[str, TimedStep], repeats: int, warmup: int
) -> dict[str, list[StepTime]]:
    """The times of the arms' steps, in turns: who begins changes from round to round."""
    times: dict[str, list[StepTime]] = {name: [] for name in steps}
    names = list(steps)
    for turn in range(warmup + repeats):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            time_of = steps[name].run()
            if turn >= warmup:
                times[name].append(time_of)
        tell(f"round {turn + 1} of {warmup + repeats}")
    return times


def _write(document: dict[str, Any], out: Path) -> None:
    page = markdown(document)
    write_atomically(out / "step.json", json.dumps(document, indent=1) + "\n")
    write_atomically(out / "step.md", page)
    print(page)
    tell(f"written to {out}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command, and returns its status."""
    return run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
