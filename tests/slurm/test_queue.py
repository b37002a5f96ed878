"""What Slurm says of jobs: on a real cluster, and where there is none that answers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_jobs import Jobs, until

from slurm import queue
from slurm.commands import cancel, command
from slurm.queue import UNKNOWN, JobState, QueueError, elements, with_comment

ELEMENTS = {
    "12": ["12"],
    "12_3": ["12_3"],
    "12_[7]": ["12_7"],
    "12_[0-2]": ["12_0", "12_1", "12_2"],
    "12_[0-1,5%4]": ["12_0", "12_1", "12_5"],
    "12_[1-9:4,20]": ["12_1", "12_5", "12_9", "12_20"],
    "12.batch": ["12.batch"],
    "12_[0,4,9...%1]": ["12_[0,4,9...%1]"],  # Slurm has cut it off: nobody's id
}


@pytest.mark.parametrize("job", ELEMENTS)
def test_what_an_id_stands_for(job: str) -> None:
    assert elements(job) == ELEMENTS[job]


def test_there_is_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queue.jobs([]) == {}
    for asked in (lambda: queue.jobs(["1"]), lambda: with_comment("x")):
        with pytest.raises(QueueError) as error:
            asked()
        assert str(error.value) == "there is no Slurm on this machine (no squeue)"


@pytest.fixture
def submit(jobs: Jobs) -> Callable[..., str]:
    """Submits a command of the shell with options of sbatch; returns the job's id."""

    def submitted(what: str, *options: str) -> str:
        always = ["--parsable", "--mem=50", "--output=/dev/null", "--time=5"]
        done = command(["sbatch", *always, *options, "--wrap", what])
        assert done.returncode == 0, done.stderr
        jobs.ids.append(done.stdout.strip())
        return jobs.ids[-1]

    return submitted


def wait(job: str, *states: str) -> JobState:
    until(lambda: queue.jobs([job])[job].state in states, f"{job} in {states}")
    return queue.jobs([job])[job]


@pytest.mark.slurm
def test_jobs_that_wait_run_and_have_ended(submit: Callable[..., str]) -> None:
    held, running = submit("true", "--hold"), submit("sleep 60", "--comment=a b|c")
    failed = submit("exit 3")
    never = submit("true", f"--dependency=afterok:{failed}")
    assert wait(held, "PENDING") == JobState("PENDING", "JobHeldUser")
    found = wait(running, "RUNNING")
    assert found.nodes in ("n1", "n2")
    assert found.time_left.startswith(("4:", "5:"))
    assert found.restarts == 0
    assert wait(failed, "FAILED").reason == "NonZeroExitCode"
    until(
        lambda: queue.jobs([never])[never] == JobState("PENDING", "DependencyNeverSatisfied"),
        f"{never} is known never to start",
    )
    assert with_comment("a b|c") == [running]
    cancel([running])
    ended = wait(running, "CANCELLED")
    assert (ended.nodes, ended.time_left) == (found.nodes, "")
    # the same of the accounts, some seconds later
    ids, known = [held, running, failed], {"PENDING", "CANCELLED", "FAILED"}
    until(lambda: {job.state for job in queue._accounted(ids).values()} == known, "the accounts")
    accounted = queue._accounted(ids)
    assert accounted[held] == JobState("PENDING")
    assert accounted[failed].reason == "exit status 3:0"
    assert accounted[running].reason.startswith("by ")
    assert accounted[running].nodes == found.nodes


@pytest.mark.slurm
def test_elements_that_never_started_are_in_one_line(submit: Callable[..., str]) -> None:
    array = submit("true", "--hold", "--array=0-2,5%1")
    ids = [f"{array}_{number}" for number in (0, 1, 2, 5)]
    assert queue.jobs(ids) == dict.fromkeys(ids, JobState("PENDING", "JobHeldUser"))
    cancel([array])

    def accounted() -> list[tuple[str, str]]:
        return [(job, state.state) for job, state in queue._accounted(ids).items()]

    until(lambda: accounted() == [(job, "CANCELLED") for job in ids], "the accounts")
    words = ["sacct", "--noheader", "--parsable2", "--format=JobID", f"--jobs={array}"]
    assert command(words).stdout.strip() == f"{array}_[0-2,5%1]"


@pytest.mark.slurm
def test_many_jobs_are_asked_for_at_once(
    submit: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit("true", "--hold")
    for name in ("squeue", "sacct"):  # Slurm's own, counted
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho {name} >> {tmp_path}/calls\n{shutil.which(name)} "$@"')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    others = [f"4000000_{number}" for number in range(50_000)]
    found = queue.jobs([*others, job])
    assert list(found) == [*others, job]
    assert found[job].state == "PENDING"
    assert {found[other] for other in others} == {JobState(UNKNOWN)}
    assert (tmp_path / "calls").read_text().split() == ["squeue", "sacct"]


@pytest.mark.slurm
def test_a_controller_that_does_not_answer(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "slurm.conf"
    lines = ("ClusterName=nowhere", "SlurmctldHost=localhost", "SlurmctldPort=1")
    conf.write_text("\n".join((*lines, "MessageTimeout=2", "")))
    monkeypatch.setenv("SLURM_CONF", str(conf))
    begun = time.monotonic()
    for asked in (lambda: queue.jobs(["1"]), lambda: with_comment("x")):
        with pytest.raises(QueueError, match=r"^squeue failed: .*[Uu]nable to contact.*") as error:
            asked()
        assert "\n" not in str(error.value)
    assert time.monotonic() - begun < 30


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("AccountingStoragePort", "1", "Connection refused"),
        ("AccountingStorageType", "accounting_storage/none", "accounting storage is disabled"),
    ],
)
def test_accounts_that_do_not_answer(
    submit: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: str,
    said: str,
) -> None:
    job = submit("true", "--hold")
    lines = Path(os.environ["SLURM_CONF"]).read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{setting}=")]
    conf = tmp_path / "slurm.conf"
    conf.write_text("\n".join([*kept, f"{setting}={value}", ""]))
    monkeypatch.setenv("SLURM_CONF", str(conf))
    found = queue.jobs([job, "4000000"])
    assert found[job].state == "PENDING"
    assert found["4000000"].state == UNKNOWN
    assert found["4000000"].reason.startswith("sacct failed: ")
    assert said in found["4000000"].reason
    assert "\n" not in found["4000000"].reason
