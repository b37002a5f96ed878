"""Real processes: interrupted, killed at any moment, and several that train together."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from equimod_command import ENVIRONMENT, SCRIPT, assigned, equimod, torchrun, wait_for_steps
from rich.console import Console

from equimod.config import load_run
from equimod.records import read_metrics
from equimod.report.results import read_summary
from equimod.training.checkpoint import CHECKPOINT, load_header
from equimod.training.folder import RunFolder
from equimod.training.interrupt import StopFlag
from equimod.training.run import Execution

STEPS = 120
LONG = [
    "arms={}",
    "training.epochs=20",
    "training.optimizer={name: sgd, lr: 0.02}",
    "evaluation={knn: {k: 1}, linear: null, equivariance: null, probe: null, baselines: []}",
]
EACH_STEP = [*LONG, "training.checkpoint_minutes=0"]


def test_a_signal_and_a_kill_change_nothing(tiny: Path, make_trainer, tmp_path: Path) -> None:
    arm = tmp_path / "out" / "simclr"
    whole = make_trainer(load_run(tiny, LONG), tmp_path / "whole").run().state_dict()
    with equimod("train", tiny, "--out", arm.parent, sets=LONG) as process:
        wait_for_steps(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    message = rf"stopped after step (\d+) of {STEPS}; the same command goes on from there\n"
    said = re.fullmatch(message, err)
    assert said, err
    assert process.returncode == 130
    done = load_header(arm / CHECKPOINT)["step"]
    assert 0 < done == int(said[1]) < STEPS
    with equimod("train", tiny, "--out", arm.parent, sets=EACH_STEP) as process:
        while load_header(arm / CHECKPOINT)["step"] == done:
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.2))  # anywhere in a step, or in the writing of a checkpoint
        process.kill()
        assert process.wait() == -signal.SIGKILL
    trainer = make_trainer(load_run(tiny, LONG), arm)
    assert done < trainer.step < STEPS
    resumed = trainer.run().state_dict()
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name
    assert not list(arm.glob(".*"))
    records, seen = read_metrics(arm / "metrics.jsonl"), 0
    for record in records:  # the command looks at test images too, after each epoch
        monitored = [record.pop(key) for key in [*record] if key.startswith("monitor/")]
        assert len(monitored) in ((0, 2) if "epoch/loss/total" in record else (0,))
        seen += len(monitored)
    assert seen
    assert records == read_metrics(tmp_path / "whole" / "metrics.jsonl")


def test_two_processes_train_as_one(tiny: Path, tmp_path: Path) -> None:
    sets = ["training.accelerator=cpu", "training.log_every=1", "training.epochs=1"]
    two = [*sets, "training.devices=2"]
    with equimod("train", tiny, "--out", tmp_path / "two", sets=two) as process:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert out.count("results in ") == out.count("run     tiny") == 1
    run, folder = load_run(tiny, sets), RunFolder(tmp_path / "one")
    alone = Execution(run, folder, tmp_path, Console(quiet=True)).execute(StopFlag())
    # what does not depend on the training is the same however many processes measure it
    assert read_summary(tmp_path / "two" / "summary.json").baselines == alone.baselines
    for arm in run.arms:
        ours, theirs = (read_metrics(tmp_path / n / arm / "metrics.jsonl") for n in ("one", "two"))
        assert len(ours) == len(theirs) == 7
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert a.keys() == b.keys()
            for name in a:
                # every step of this small network magnifies rounding; in float64 see `test_steps`
                gain = 0.02 if name == "monitor/shuffled_gain" else None  # a ratio, less 1
                close = pytest.approx(b[name], rel=1e-5 if number < 2 else 0.3, abs=gain)
                assert a[name] == close, (number, name)


def test_two_processes_train_as_one_on_photographs_in_their_own_sizes(
    tiny: Path, photos: list[Path], tmp_path: Path
) -> None:
    for split, paths in (("train", photos[:40]), ("test", photos[40:64])):
        for number, path in enumerate(paths):
            target = tmp_path / "photos" / split / "ab"[number % 2] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    middle = "[{op: resize, size: 18}, {op: center_crop, size: 16}]"
    data = f"{{source: folder, path: '{tmp_path / 'photos'}', size: original, memory_limit: 0}}"
    sets = [
        f"data={data}",
        f"augmentations.views.original.ops={middle}",
        f"augmentations.views.flipped.ops={middle}",
        "evaluation={knn: {k: 1}, linear: null, equivariance: null, probe: null}",
        "training.accelerator=cpu",
        "training.workers=1",
        "training.log_every=1",
        "training.epochs=1",
    ]
    with equimod(
        "train", tiny, "--out", tmp_path / "two", sets=[*sets, "training.devices=2"]
    ) as process:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    assert "40 train images of different sizes" in out
    run, folder = load_run(tiny, sets), RunFolder(tmp_path / "one")
    alone = Execution(run, folder, tmp_path, Console(quiet=True)).execute(StopFlag())
    assert read_summary(tmp_path / "two" / "summary.json").baselines == alone.baselines
    assert (tmp_path / "two" / "overview.png").stat().st_size > 10_000
    for arm in run.arms:
        first, theirs = (
            read_metrics(tmp_path / name / arm / "metrics.jsonl")[0] for name in ("one", "two")
        )
        assert first["loss/invariance"] == pytest.approx(theirs["loss/invariance"], rel=1e-5)


def test_two_processes_fail_as_one(tiny: Path, tmp_path: Path) -> None:
    sets = ["training.accelerator=cpu", "training.devices=2", "data={source: parquet, path: zzz}"]
    with equimod("train", tiny, "--out", tmp_path, sets=sets) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "Traceback" not in err
    assert err.count("error: ") == 1
    assert "zzz does not exist" in err
    sets = ["training.accelerator=cpu", "training.devices=2", "training.batch_size=15"]
    with equimod("train", tiny, "--out", tmp_path / "odd", sets=sets) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "training.batch_size is 15, which 2 processes cannot share equally" in err
    assert not (tmp_path / "odd").exists()


def test_torchrun_and_another_number_of_processes(tiny: Path, tmp_path: Path) -> None:
    sets = [*LONG, "training.epochs=4", "training.log_every=1", "training.accelerator=cpu"]
    command = torchrun("--nproc-per-node=2")
    command += [str(SCRIPT), "train", str(tiny), "--out", str(tmp_path)]
    command += assigned([*sets, "training.checkpoint_minutes=0"])
    arm = tmp_path / "simclr"
    started = subprocess.Popen(
        command, env=os.environ | ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    try:
        while not (arm / CHECKPOINT).is_file() or load_header(arm / CHECKPOINT)["step"] < 3:
            assert started.poll() is None, started.communicate()[1]
            time.sleep(0.01)
    finally:
        started.kill()
        subprocess.run(["pkill", "-KILL", "-f", str(tmp_path)], check=False)
        started.wait()
    done = load_header(arm / CHECKPOINT)["step"]
    run = load_run(tiny, sets)
    execution = Execution(run, RunFolder(tmp_path), tmp_path, Console(quiet=True))
    execution.execute(StopFlag())  # one process goes on with the steps of two
    steps = [record["step"] for record in read_metrics(arm / "metrics.jsonl") if "lr" in record]
    assert 3 <= done < steps[-1] == 24
    assert steps == list(range(1, 25))
