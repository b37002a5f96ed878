"""How jobs are, by their records."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slurm import state
from slurm.attempts import Attempts, Entry, Event
from slurm.queue import UNKNOWN, JobState
from slurm.state import State, alive, statuses, stop
from slurm.submission import Job, Submission, SubmissionFolder

GONE = "4194305"
"""No process has this number: it is beyond the largest there can be."""

S, FINISHED, FAILED, REQUEUED = Event.STARTED, Event.FINISHED, Event.FAILED, Event.REQUEUED
SAVED, CANCELLED = (Event.STOPPED, {"saved": True}), Event.CANCELLED
REFUSED = (Event.REFUSED, {"status": 2})
GAVE_UP = (Event.GAVE_UP, {"reason": "failed 4 times, the last time with exit status 137"})
Events = tuple[Event | tuple[Event, dict[str, Any]], ...]

FORGOTTEN: dict[str, tuple[Events, State, str]] = {
    "no record": ((), State.UNKNOWN, "it has left no record"),
    "finished": ((S, FINISHED), State.DONE, ""),
    "finished in the end": ((S, FAILED, REQUEUED, S, SAVED, S, FINISHED), State.DONE, ""),
    "cancelled, and has finished": ((S, CANCELLED, FINISHED), State.DONE, ""),
    "running when last heard of": ((S,), State.UNKNOWN, "it has not recorded its end"),
    "waiting then": ((S, FAILED, REQUEUED), State.UNKNOWN, "it has not recorded its end"),
    "a mistake": ((S, REFUSED), State.FAILED, "exit status 2"),
    "a mistake, as the script saw it": ((S, REFUSED, GAVE_UP), State.FAILED, GAVE_UP[1]["reason"]),
    "too many failures": ((S, FAILED, GAVE_UP), State.FAILED, GAVE_UP[1]["reason"]),
    "cancelled before it began": ((CANCELLED,), State.CANCELLED, ""),
    "cancelled, and stopped": ((S, CANCELLED, SAVED), State.CANCELLED, ""),
}

KNOWN: dict[str, tuple[JobState, Events, State, str]] = {
    "in the queue": (JobState("PENDING", "Priority"), (), State.WAITING, "Priority"),
    "requeued": (JobState("PENDING", "BeginTime"), (S, SAVED), State.WAITING, "BeginTime"),
    "at work": (JobState("RUNNING"), (S,), State.RUNNING, ""),
    "about to end": (JobState("COMPLETING"), (S, FINISHED), State.RUNNING, "completing"),
    "done": (JobState("COMPLETED"), (S, FINISHED), State.DONE, ""),
    "cancelled": (JobState("CANCELLED", "by 1000"), (S,), State.CANCELLED, "by 1000"),
    "out of time": (JobState("TIMEOUT", "TimeLimit"), (S,), State.FAILED, "timeout: TimeLimit"),
    "failed": (
        JobState("FAILED", "NonZeroExitCode"),
        (S, FAILED, GAVE_UP),
        State.FAILED,
        f"failed: {GAVE_UP[1]['reason']}",
    ),
    "refused": (JobState("FAILED"), (S, REFUSED), State.FAILED, "failed: exit status 2"),
    "of a state to come": (JobState("EXPLODED"), (S,), State.FAILED, "exploded"),
}


def entries(events: Events) -> list[Entry]:
    pairs = [event if isinstance(event, tuple) else (event, {}) for event in events]
    return [Entry(event, float(k), details) for k, (event, details) in enumerate(pairs)]


def submitted(root: Path, *jobs: Job, executor: str, host: str = "") -> Submission:
    here = host or socket.gethostname()
    made = Submission("out", executor, "token", "2026-01-02", ("equimod",), here, "0", jobs)
    SubmissionFolder(root).write(made)
    return made


@pytest.mark.parametrize("case", FORGOTTEN)
def test_a_job_that_nobody_else_knows(case: str, tmp_path: Path) -> None:
    events, expected, detail = FORGOTTEN[case]
    folder = SubmissionFolder(tmp_path)
    for entry in entries(events):
        Attempts(folder.records, GONE).add(entry.event, **entry.details)
    (found,) = statuses(folder, submitted(tmp_path, Job("", "train", GONE), executor="local"))
    assert (found.state, found.detail) == (expected, detail)
    assert found.restarts == max(0, events.count(S) - 1)
    of_slurm = state._queued(found.job, JobState(UNKNOWN), entries(events))
    assert of_slurm == found


@pytest.mark.parametrize("case", KNOWN)
def test_a_job_that_slurm_knows(case: str) -> None:
    known, events, expected, detail = KNOWN[case]
    found = state._queued(Job("", "train", "12"), known, entries(events))
    assert (found.state, found.detail) == (expected, detail)
    assert found.state.active == (expected in (State.WAITING, State.RUNNING))


def test_restarts_are_those_that_slurm_or_the_record_has_seen() -> None:
    job = Job("", "train", "12")
    for restarts, events, expected in ((3, (S,), 3), (0, (S, S, S), 2), (1, (), 1)):
        known = JobState("RUNNING", "", "n1", "1:00", restarts)
        found = state._queued(job, known, entries(events))
        assert (found.restarts, found.nodes, found.time_left) == (expected, "n1", "1:00")


@pytest.mark.parametrize("executor", ["slurm", "local"])
def test_a_submission_that_was_cut_short(tmp_path: Path, executor: str) -> None:
    made = submitted(tmp_path, Job("seed=0", "train"), executor=executor)
    (found,) = statuses(SubmissionFolder(tmp_path), made)
    assert (found.state, found.detail) == (State.UNKNOWN, "its submission was cut short")


def test_a_job_on_another_machine(tmp_path: Path) -> None:
    made = submitted(tmp_path, Job("", "train", "1"), executor="local", host="elsewhere")
    (found,) = statuses(SubmissionFolder(tmp_path), made)
    assert (found.state, found.detail) == (State.UNKNOWN, "runs on elsewhere: ask there")


@pytest.fixture
def watcher() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks as submitit's, to those who ask for its command."""
    words = [sys.executable, "-c", "import time; time.sleep(60)", "submitit.local"]
    process = subprocess.Popen(words)
    yield process
    process.kill()
    process.wait()


def test_a_job_on_this_machine_runs_until_it_is_stopped(
    tmp_path: Path, watcher: subprocess.Popen[bytes]
) -> None:
    folder = SubmissionFolder(tmp_path)
    job = str(watcher.pid)
    made = submitted(tmp_path, Job("", "train", job), Job("", "eval", job), executor="local")
    Attempts(folder.records, job).add(S)
    for found in statuses(folder, made):
        assert (found.state, found.nodes) == (State.RUNNING, made.host)
    stop(folder, made, made.jobs)
    assert watcher.wait(10) == -signal.SIGTERM
    assert [found.state for found in statuses(folder, made)] == [State.CANCELLED] * 2


def test_a_number_that_another_process_has_now(tmp_path: Path) -> None:
    me = str(os.getpid())
    assert not alive(os.getpid())
    made = submitted(tmp_path, Job("", "train", me), executor="local")
    folder = SubmissionFolder(tmp_path)
    assert statuses(folder, made)[0].state is State.UNKNOWN
    stop(folder, made, made.jobs)  # and this test goes on
    assert statuses(folder, made)[0].state is State.CANCELLED
