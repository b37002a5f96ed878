"""Runs on a real cluster, through the command line: seeds, processes, preemption, refusals."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from equimod.records import read_metrics
from equimod.training.checkpoint import load_checkpoint
from slurm.attempts import Attempts
from slurm.commands import cancel
from slurm.submission import SubmissionFolder

PROFILE = """\
version: 1
name: testing
memory: 1200MB
time: "0:20:00"
signal_delay: 30
backoff: 1
environment: {OMP_NUM_THREADS: "1"}
"""
QUICK = [
    "training.epochs=1",
    "training.log_every=1",
    "evaluation={knn: {k: 1}, linear: null, equivariance: null, probe: null, baselines: []}",
]


class Lab:
    """A folder in which a person works on a login node."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder, self.document = folder, run
        (folder / "profiles").mkdir()
        (folder / "profiles" / "testing.yaml").write_text(PROFILE)

    def equimod(self, *words: str, sets: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """The real command."""
        script = Path(sysconfig.get_path("scripts")) / "equimod"
        command = [sys.executable, str(script), *words]
        for assignment in sets:
            command += ["--set", assignment]
        return subprocess.run(
            command,
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=240,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"},
        )

    def submit(self, out: str, *words: str, sets: tuple[str, ...] = tuple(QUICK)) -> None:
        """Submits the run, which must be accepted."""
        where = ("--profile", "testing", "--out", out)
        done = self.equimod("submit", str(self.document), *where, *words, sets=sets)
        assert done.returncode == 0, done.stderr

    def train(self, out: str, *sets: str) -> Path:
        """Trains the run here, in one process that nobody disturbs; returns its folder."""
        done = self.equimod("train", str(self.document), "--out", out, sets=sets)
        assert done.returncode == 0, done.stderr
        return self.folder / out

    def done(self, out: str) -> None:
        """Waits for the end of all jobs, which must be a good one."""
        shown = self.equimod("status", out, "--watch")
        assert shown.returncode == 0, shown.stdout + self.logs(out)
        assert "done" in shown.stdout

    def logs(self, out: str) -> str:
        """All that was printed."""
        return self.equimod("logs", out, "-n", "30").stdout

    def events(self, out: str, kind: str = "train") -> list[str]:
        """What happened to the job of a kind."""
        folder = SubmissionFolder(self.folder / out)
        (job,) = [job for job in folder.read().latest() if job.kind == kind]
        assert job.id is not None
        return [str(entry.event) for entry in Attempts(folder.records, job.id).read()]


@pytest.fixture
def lab(cluster: None, tiny: Path, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, tiny)
    yield made
    for record in tmp_path.glob("*/slurm/submission.json"):
        cancel([job["id"] for job in json.loads(record.read_text())["jobs"] if job["id"]])


@pytest.mark.slurm
def test_seeds_become_a_table(lab: Lab) -> None:
    lab.submit("out", "--seeds", "0-1")
    lab.done("out")
    shown = lab.equimod("collect", "out")
    assert shown.returncode == 0, shown.stderr
    assert "n = 2 seeds (0, 1)" in shown.stdout
    assert {path.suffix for path in (lab.folder / "out").glob("collected.*")} == {
        ".md",
        ".csv",
        ".json",
        ".png",
    }
    environment = json.loads((lab.folder / "out" / "seed=1" / "environment.json").read_text())
    assert environment["folder"] == str(lab.folder)
    again = lab.equimod("resume", "out")
    assert (again.returncode, again.stdout) == (0, "nothing remains to be submitted\n")
    twice = lab.equimod("submit", str(lab.document), "--profile", "testing", "--out", "out")
    assert twice.returncode == 2
    assert "was submitted before: `equimod status` and `equimod resume`" in twice.stderr


@pytest.mark.slurm
def test_four_processes_on_two_nodes_are_as_one(lab: Lab) -> None:
    wide = ("--profile-set", "nodes=2", "--profile-set", "tasks_per_node=2")
    lab.submit("out", *wide, "--profile-set", "memory=2400MB", sets=(*QUICK, "arms={}"))
    one = lab.train("one", *QUICK, "arms={}")
    lab.done("out")
    ours, theirs = (read_metrics(p / "simclr" / "metrics.jsonl") for p in (lab.folder / "out", one))
    assert len(ours) == len(theirs) == 7
    # in float32 this small network magnifies rounding tenfold a step; see `test_steps` for float64
    for a, b in zip(ours[:2], theirs[:2], strict=True):
        assert a["loss/total"] == pytest.approx(b["loss/total"], rel=1e-5)
    assert "of 4" not in lab.logs("out")  # one process speaks


@pytest.mark.slurm
def test_preempted_requeued_and_killed_it_ends_the_same(lab: Lab) -> None:
    long = (*QUICK, "arms={}", "training.epochs=40", "training.checkpoint_minutes=0.01")
    lab.submit("out", "--profile-set", "partition=preempt", sets=long)
    folder = SubmissionFolder(lab.folder / "out")
    (job,) = [job.id for job in folder.read().latest() if job.kind == "train"]
    arm = lab.folder / "out" / "simclr"
    started = Attempts(folder.records, str(job))
    ways = [
        ["kill", "-KILL", "PID"],
        ["scancel", "--signal=USR2", str(job)],
        ["scontrol", "requeue", str(job)],
    ]
    for number, way in enumerate(ways):
        wait_for(lambda least=1 + 40 * number: steps(arm) > least, lab)
        before = lab.events("out").count("started")
        pid = str([entry for entry in started.read() if "pid" in entry.details][-1].details["pid"])
        subprocess.run([pid if word == "PID" else word for word in way], check=True)
        wait_for(lambda least=before: lab.events("out").count("started") > least, lab)
    one = lab.train("one", *long)
    lab.done("out")
    assert lab.events("out").count("started") == len(ways) + 1
    mine, theirs = (
        load_checkpoint(path / "simclr" / "last.safetensors") for path in (lab.folder / "out", one)
    )
    assert mine.tensors.keys() == theirs.tensors.keys()
    for name, tensor in theirs.tensors.items():
        assert torch.equal(mine.tensors[name], tensor), name
    assert (arm / "metrics.jsonl").read_bytes() == (one / "simclr/metrics.jsonl").read_bytes()


def steps(arm: Path) -> int:
    records = read_metrics(arm / "metrics.jsonl")
    return int(records[-1]["step"]) if records else 0


def wait_for(ready: Callable[[], bool], lab: Lab, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, lab.logs("out")
        time.sleep(0.05)


@pytest.mark.slurm
def test_cancelled_and_resumed(lab: Lab) -> None:
    lab.submit("out", sets=(*QUICK, "arms={}", "training.epochs=200"))
    wait_for(lambda: steps(lab.folder / "out" / "simclr") > 3, lab)
    unknown = lab.equimod("cancel", "out", "seed=7")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("error: no point 'seed=7'")
    done = lab.equimod("cancel", "out")
    assert done.stdout == "cancelled 1 of 1; `equimod resume out` goes on with them\n"
    wait_for(lambda: "cancelled" in lab.equimod("status", "out").stdout, lab)
    before = load_checkpoint(lab.folder / "out" / "simclr" / "last.safetensors").header["step"]
    assert before > 3
    (lab.folder / "out" / "slurm" / "code" / "equimod" / "new.py").write_text("# tampered")
    refused = lab.equimod("resume", "out")
    assert refused.returncode == 2
    assert "copy of the code that was submitted has been changed" in refused.stderr
    (lab.folder / "out" / "slurm" / "code" / "equimod" / "new.py").unlink()
    again = lab.equimod("resume", "out", "--profile-set", "time=30:00")
    assert (again.returncode, again.stdout) == (0, "submitted: 1 to train and measure\n")
    wait_for(lambda: steps(lab.folder / "out" / "simclr") > before, lab)
    lab.equimod("cancel", "out")


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("evaluation={partition: nowhere}", "the evaluate job.*invalid partition"),
    ],
)
def test_what_the_cluster_refuses_leaves_nothing(lab: Lab, wish: str, reason: str) -> None:
    where = ("--profile", "testing", "--out", "out", "--profile-set", wish)
    done = lab.equimod("submit", str(lab.document), *where, sets=("training.batch_size=16",))
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(f"(?is)^error: the cluster refuses .*{reason}", done.stderr)
    assert "Traceback" not in done.stderr
    assert not (lab.folder / "out").exists()
    words = ["squeue", "-h", "-n", "out", "-t", "PD,R"]  # a cancelled one may still be completing
    queued = subprocess.run(words, capture_output=True, text=True)
    assert queued.stdout == ""


@pytest.mark.slurm
def test_a_dry_run_submits_nothing(lab: Lab) -> None:
    where = ("--profile", "testing", "--out", "out", "--seeds", "0-2", "--dry-run")
    done = lab.equimod("submit", str(lab.document), *where)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("#SBATCH --array=0-2%3") == 2
    assert done.stdout.count("the cluster would take it: Job ") == 2
    assert "#SBATCH --dependency=" in done.stdout
    assert "also seed=2" in done.stdout
    assert "batch_size: 16" in done.stdout
    assert not (lab.folder / "out").exists()


def test_this_machine_in_the_background(tiny: Path, tmp_path: Path) -> None:
    lab = Lab(tmp_path, tiny)
    (tmp_path / "profiles" / "testing.yaml").write_text(
        'version: 1\nname: here\nexecutor: local\ntime: "1:00:00"\ntasks_per_node: 2\n'
    )
    lab.submit("out", sets=(*QUICK, "arms={}", "training.accelerator=cpu"))
    lab.done("out")
    assert (tmp_path / "out" / "summary.json").is_file()


def test_mistakes(tiny: Path, tmp_path: Path) -> None:
    lab = Lab(tmp_path, tiny)
    for words, message in (
        (("--profile", "tseting"), "error: no profile 'tseting'; did you mean 'testing'?"),
        (("--profile", "testing", "--profile-set", "tasks_per_node=3"), "batch_size is 16 .* 3 pr"),
    ):
        done = lab.equimod("submit", str(tiny), "--out", "out", *words)
        assert done.returncode == 2
        assert re.search(message, done.stderr)
        assert "Traceback" not in done.stderr
    for command in ("status", "cancel"):
        done = lab.equimod(command, "nowhere")
        assert done.returncode == 2
        assert done.stderr.startswith("error: nothing was submitted from ")
    assert not (tmp_path / "out").exists()
