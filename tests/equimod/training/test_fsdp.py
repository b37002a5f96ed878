"""Weights shared out over processes: the same training, and checkpoints that any strategy reads."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from equimod_command import ENVIRONMENT, SCRIPT, assigned, equimod, torchrun, wait_for_steps

from equimod.config import load_run
from equimod.records import read_metrics
from equimod.report.results import read_summary
from equimod.training.checkpoint import CHECKPOINT, load_checkpoint, load_header

ARM = "byol+equimod"
BASE = [
    "arms={}",
    "method={name: byol, hidden: 32, dim: 8}",
    "equimod={hidden: 16, dim: 8}",
    "training.optimizer={name: adamw, lr: 0.001}",
    "training.epochs=3",
    "training.log_every=1",
    "training.evaluate_every=2",
    "training.accelerator=cpu",
    "evaluation={knn: {k: 1}, linear: null, equivariance: null, probe: null, baselines: []}",
]
"""Of six steps an epoch."""
SHARED = [*BASE, "training.devices=2", "training.strategy=fsdp"]


def train(tiny: Path, out: Path, sets: list[str]) -> str:
    with equimod("train", tiny, "--out", out, sets=sets) as process:
        said, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return said


@pytest.fixture(scope="module")
def shared(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose weights two processes share out."""
    folder = tmp_path_factory.mktemp("shared")
    train(tiny, folder, SHARED)
    return folder


def test_it_trains_as_one_process_does(shared: Path, tiny: Path, make_trainer, tmp_path) -> None:
    trainer = make_trainer(load_run(tiny, BASE), tmp_path)
    trainer.validate = lambda learner: {"knn/shape": 1.0}
    trainer.run()
    ours, theirs = (read_metrics(f / "metrics.jsonl") for f in (shared / ARM, tmp_path))
    assert [r["step"] for r in ours] == [r["step"] for r in theirs]
    for name in ("loss/total", "loss/invariance", "loss/equivariance"):
        assert ours[0][name] == pytest.approx(theirs[0][name], rel=1e-5)
    mine, plain = (load_checkpoint(f / CHECKPOINT) for f in (shared / ARM, tmp_path))
    assert mine.header["optimizer"] == plain.header["optimizer"]
    shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in plain.tensors.items()}
    assert {n: (t.shape, t.dtype) for n, t in mine.tensors.items()} == shapes
    assert ARM in {arm.name for arm in read_summary(shared / "summary.json").arms}


def test_interrupted_it_goes_on_exactly(shared: Path, tiny: Path, tmp_path: Path) -> None:
    with equimod("train", tiny, "--out", tmp_path, sets=SHARED) as process:
        wait_for_steps(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert 0 < load_header(tmp_path / ARM / CHECKPOINT)["step"] < 18
    train(tiny, tmp_path, SHARED)
    mine, whole = (load_checkpoint(f / ARM / CHECKPOINT) for f in (tmp_path, shared))
    assert mine.tensors.keys() == whole.tensors.keys()
    for name, tensor in whole.tensors.items():
        assert torch.equal(mine.tensors[name], tensor), name
    ours, theirs = (read_metrics(f / ARM / "metrics.jsonl") for f in (tmp_path, shared))
    assert ours == theirs


def test_one_process_goes_on_with_what_two_have_shared(
    shared: Path, tiny: Path, make_trainer, tmp_path: Path
) -> None:
    before = load_checkpoint(shared / ARM / CHECKPOINT)
    (tmp_path / CHECKPOINT).write_bytes((shared / ARM / CHECKPOINT).read_bytes())
    trainer = make_trainer(load_run(tiny, BASE), tmp_path)
    assert trainer.step == 18
    trainer.save()
    after = load_checkpoint(tmp_path / CHECKPOINT)
    assert all(torch.equal(after.tensors[name], t) for name, t in before.tensors.items())


def test_two_launchers_share_the_weights(tiny: Path, tmp_path: Path) -> None:
    """As two machines would, each with a torchrun of its own."""
    sets = [*BASE, "training.strategy=fsdp", "training.precision=bf16", "training.epochs=1"]
    command = torchrun("--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1")
    words = [str(SCRIPT), "train", str(tiny), "--out", str(tmp_path), *assigned(sets)]
    logs = [tmp_path / f"node-{rank}.txt" for rank in range(2)]
    nodes = []
    for rank, log in enumerate(logs):
        with log.open("wb") as file:
            node = [*command, f"--node-rank={rank}", *words]
            environment = os.environ | ENVIRONMENT
            nodes.append(subprocess.Popen(node, env=environment, stdout=file, stderr=file))
    end = time.monotonic() + 240
    try:
        # launchers wait for each other at their exit, once seen for minutes: that is torch's affair
        while "results in " not in logs[0].read_text():
            failed = any(node.poll() for node in nodes) or time.monotonic() > end
            assert not failed, "\n".join(log.read_text() for log in logs)
            time.sleep(0.1)
    finally:
        for node in nodes:
            with suppress(subprocess.TimeoutExpired):
                node.wait(20)
            node.kill()
    assert [log.read_text().count("results in ") for log in logs] == [1, 0]
    assert load_header(tmp_path / ARM / CHECKPOINT)["step"] == 6
