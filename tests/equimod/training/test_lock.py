"""Two processes never write one run folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from equimod_command import equimod

from equimod.report.results import read_summary
from equimod.training.lock import LockedError, locked

HOLD = """
import sys, time
from pathlib import Path
from equimod.report.results import read_summary
from equimod.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    environment = os.environ | {"SLURM_JOB_ID": "4711"}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_is_refused_and_told_by_whom(holder, tmp_path: Path) -> None:
    told = rf"is being worked on by host \S+, process {holder.pid}, job 4711, since 20\d\d-"
    with pytest.raises(LockedError, match=told), locked(tmp_path):
        pass


def test_a_kill_lets_go(holder, tmp_path: Path) -> None:
    holder.kill()
    with locked(tmp_path, patience=5):
        pass


def test_patience(holder, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(LockedError), locked(tmp_path, patience=1):
        pass
    assert time.monotonic() - began >= 1


def test_again_and_again_in_one_process(tmp_path: Path) -> None:
    for _ in range(3):
        with locked(tmp_path / "new"):
            (tmp_path / "new" / "result").touch()
            assert str(os.getpid()) in (tmp_path / "new" / ".lock").read_text()


def test_where_nothing_came_of_it_no_folder_stays(tmp_path: Path) -> None:
    with locked(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()
    with locked(tmp_path):
        pass
    assert (tmp_path / ".lock").exists()


def test_what_is_kept_can_be_measured_while_the_training_goes_on(
    tiny: Path, tmp_path: Path
) -> None:
    quick = ["evaluation.probe=null", "evaluation.linear=null", "evaluation.baselines=[]"]
    sets = [*quick, "arms={}", "training.epochs=1", "training.evaluate_every=1"]
    run = tmp_path / "run"
    with equimod("train", tiny, "--out", run, sets=sets) as process:
        assert process.wait(120) == 0
    with locked(run):
        with equimod("eval", run, "--checkpoint", "best", sets=[]) as process:
            assert process.wait(120) == 0
        with equimod("eval", run, sets=[]) as process:
            _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "is being worked on by" in err
    ours, theirs = (read_summary(run / name / "summary.json") for name in ("with-best", ""))
    assert ours.arms[0].metrics["knn/shape"] == theirs.arms[0].metrics["knn/shape"]
