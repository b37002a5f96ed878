"""Jobs on a real cluster: done, refused, killed, preempted, requeued, out of time, cancelled."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from slurm_jobs import Jobs, until
from slurm_works import Allocate, Count

from slurm.attempts import Event
from slurm.commands import LaunchError, cancel, command, max_array_size, would_accept
from slurm.queue import jobs as states
from slurm.queue import with_comment

pytestmark = pytest.mark.slurm

ONCE_MORE = ["started", "failed", "requeued", "started", "finished"]
WARNED = ["started", "stopped", "requeued", "started", "finished"]


def test_a_job_is_done(jobs: Jobs, tmp_path: Path) -> None:
    (job,) = jobs.submit(Count(tmp_path / "at", 2))
    assert jobs.ended(job) == {job: "COMPLETED"}
    assert jobs.events(job) == ["started", "finished"]
    assert "rank 0 of 1 counts from 0" in jobs.log(job)


def test_an_array_of_which_one_is_refused_and_what_waits_for_it(jobs: Jobs, tmp_path: Path) -> None:
    works = [Count(tmp_path / f"{k}", 1, status=2 * (k == 1)) for k in range(3)]
    first = jobs.submit(*works)
    assert [job.partition("_")[2] for job in first] == ["0", "1", "2"]
    second = jobs.submit(*[Count(tmp_path / f"then {k}", 1) for k in range(3)], after=first)
    ends = jobs.ended(*first, *second)
    assert [ends[job] for job in first] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert [ends[job] for job in second] == ["COMPLETED", "CANCELLED", "COMPLETED"]
    assert jobs.events(first[1]) == ["started", "refused", "gave up"]


def test_processes_on_two_nodes_of_which_one_is_killed(jobs: Jobs, tmp_path: Path) -> None:
    (job,) = jobs.submit(Count(tmp_path / "at", 6, dies_at=3), nodes=2, tasks_per_node=2)
    assert jobs.ended(job, seconds=90) == {job: "COMPLETED"}
    # srun has ended the others, which took it for a request to stop
    assert jobs.events(job) == ["started", "stopped", *ONCE_MORE[1:]]
    for rank in range(4):
        log = jobs.log(job, rank)
        assert f"rank {rank} of 4 counts from 0" in log
        assert log.count(f"rank {rank} of 4 counts from") == 2


def test_a_job_that_always_fails_gives_up(jobs: Jobs, tmp_path: Path) -> None:
    (job,) = jobs.submit(Count(tmp_path / "at", 3, raises_at=1), retries=1)
    assert jobs.ended(job) == {job: "FAILED"}
    assert jobs.events(job) == [*ONCE_MORE[:4], "failed", "gave up"]
    assert "RuntimeError: cannot count beyond 1" in jobs.log(job)


def test_a_job_that_ran_out_of_memory_starts_again(jobs: Jobs, tmp_path: Path) -> None:
    (job,) = jobs.submit(Allocate(tmp_path / "seen", 600))
    assert jobs.ended(job) == {job: "COMPLETED"}
    assert jobs.events(job) == ONCE_MORE


def test_preempted_requeued_warned_and_out_of_time(jobs: Jobs, tmp_path: Path) -> None:
    """Four jobs at once, since each waits most of its time."""
    # Slurm rounds limits up to minutes and warns within half a minute of what was asked for
    (limited,) = jobs.submit(
        Count(tmp_path / "limited", 200), time="1:00", signal_delay=45, nodelist="n2"
    )
    whole = {"nodelist": "n1", "cpus_per_task": 4}
    (preempted,) = jobs.submit(Count(tmp_path / "preempted", 40), partition="preempt", **whole)
    jobs.wait(preempted, Event.STARTED)
    elsewhere = {"nodelist": "n2"}
    (requeued,) = jobs.submit(Count(tmp_path / "requeued", 40), **elsewhere)
    (deaf,) = jobs.submit(Count(tmp_path / "deaf", 30, saves=False), **elsewhere)
    jobs.wait(requeued, Event.STARTED)
    jobs.wait(deaf, Event.STARTED)
    until(lambda: "counts from 0" in jobs.log(deaf), "its first line")
    (urgent,) = jobs.submit(Count(tmp_path / "urgent", 1), partition="high", **whole)
    assert command(["scontrol", "requeue", requeued]).returncode == 0
    assert command(["scancel", "--signal=USR2", deaf]).returncode == 0
    ends = jobs.ended(preempted, requeued, deaf, urgent, seconds=90)
    assert set(ends.values()) == {"COMPLETED"}
    assert jobs.events(preempted) == WARNED
    # Slurm requeued it by itself
    assert jobs.events(requeued) == ["started", "stopped", "started", "finished"]
    # it had nothing to save, and began again
    assert jobs.events(deaf) == WARNED
    assert jobs.log(deaf).count("counts from 0") == 2
    assert jobs.ended(limited, seconds=150) == {limited: "COMPLETED"}
    assert jobs.events(limited)[:4] == WARNED[:4]
    assert jobs.events(limited)[-1] == "finished"
    for job, name in ((preempted, "preempted"), (requeued, "requeued")):
        at = json.loads((tmp_path / name).read_text())
        assert 0 < at < 40
        assert f"counts from {at}" in jobs.log(job)
    assert states([preempted])[preempted].restarts in (0, 1)  # the accounts do not say


def test_cancelled_while_it_runs_and_while_it_waits(jobs: Jobs, tmp_path: Path) -> None:
    (runs,) = jobs.submit(Count(tmp_path / "runs", 300))
    (waits,) = jobs.submit(Count(tmp_path / "waits", 1), sbatch={"hold": True})
    jobs.wait(runs, Event.STARTED)
    until(lambda: "counts from 0" in jobs.log(runs), "its first line")
    found = states([runs, waits])
    assert (found[runs].state, found[runs].nodes) == ("RUNNING", "n1")
    assert re.fullmatch(r"20:00|19:\d\d", found[runs].time_left)
    assert (found[waits].state, found[waits].reason) == ("PENDING", "JobHeldUser")
    cancel([runs, waits])
    assert set(jobs.ended(runs, waits).values()) == {"CANCELLED"}
    assert jobs.events(runs) == ["started", "stopped"]
    assert json.loads((tmp_path / "runs").read_text()) > 0
    assert jobs.events(waits) == []
    cancel([runs, waits])  # is no mistake


REFUSED = {
    "invalid partition": ({"partition": "gpus"}, "Invalid partition"),
    "more nodes than there are": ({"nodes": 9}, "More processors requested|Node count"),
    "more GPUs than there are": ({"gpus_per_node": 8}, "configuration is not available"),
    "too much time": ({"partition": "high", "time": "9-00"}, "time limit"),
    "an account of somebody else": ({"account": "nobody"}, "Invalid account"),
    "an unknown option": ({"sbatch": {"no-such-option": "1"}}, "no-such-option"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(jobs: Jobs, tmp_path: Path, case: str) -> None:
    asked, reason = REFUSED[case]
    with pytest.raises(LaunchError, match="refused the job of profile 'test'.*" + reason):
        jobs.submit(Count(tmp_path / "at", 1), **asked)
    assert not list((tmp_path / "logs").glob("*_log.out"))


def test_what_the_cluster_says_beforehand(cluster: None) -> None:
    fine = "#!/bin/bash\n#SBATCH --mem=100\ntrue\n"
    accepted, said = would_accept(fine)
    assert accepted
    assert "to start at" in said
    accepted, said = would_accept(fine.replace("--mem=100", "--partition=gpus"))
    assert not accepted
    assert "invalid partition" in said.lower()
    assert max_array_size() == 1000


def test_jobs_are_found_by_their_comment(jobs: Jobs, tmp_path: Path) -> None:
    work, held = Count(tmp_path / "at", 1), {"hold": True}
    (job,) = jobs.submit(work, token="a token of its own", sbatch=held)
    assert with_comment("a token of its own") == [job]
    assert with_comment("another") == []


def test_a_job_that_nobody_knows(cluster: None) -> None:
    assert states(["99999999"])["99999999"].state == "UNKNOWN"
    assert states([]) == {}
