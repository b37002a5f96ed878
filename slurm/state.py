"""What became of the jobs of a submission: by the queue, the accounts and their own records."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from slurm.attempts import Attempts, Entry, Event, restarts
from slurm.commands import cancel
from slurm.queue import JobState, jobs, with_comment
from slurm.submission import Job, Submission, SubmissionFolder


class State(StrEnum):
    """How a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """Slurm knows nothing of it any more, and its own record does not tell the end."""

    @property
    def active(self) -> bool:
        """Whether it will go on by itself."""
        return self in (State.WAITING, State.RUNNING)


@dataclass(frozen=True)
class JobStatus:
    """A job, and how it is.

    Attributes:
        job: which.
        state: how it is.
        detail: why, or what Slurm calls it; empty where `state` says it all.
        nodes: where it runs.
        time_left: until its time limit, as Slurm writes it.
        restarts: how often it was started again.
    """

    job: Job
    state: State
    detail: str = ""
    nodes: str = ""
    time_left: str = ""
    restarts: int = 0


WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
RUNNING = {"RUNNING", "COMPLETING", "STAGE_OUT", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING"}
"""Slurm's words for jobs that will go on."""


def statuses(folder: SubmissionFolder, submission: Submission) -> list[JobStatus]:
    """How the latest job of each point and kind is.

    Raises:
        QueueError: Slurm is not there, or does not answer.
    """
    latest = submission.latest()
    if submission.executor == "local":
        return [_here(job, _entries(folder, job), submission.host) for job in latest]
    known = jobs([job.id for job in latest if job.id is not None])
    return [_queued(job, known.get(job.id or ""), _entries(folder, job)) for job in latest]


def _entries(folder: SubmissionFolder, job: Job) -> list[Entry]:
    return Attempts(folder.records, job.id).read() if job.id is not None else []


def _queued(job: Job, known: JobState | None, entries: Sequence[Entry]) -> JobStatus:
    if job.id is None:
        return JobStatus(job, State.UNKNOWN, "its submission was cut short")
    again = restarts(entries)
    if known is None or known.state == "UNKNOWN":
        state, detail = _recorded(entries)
        if state is State.UNKNOWN and known is not None and known.reason:
            detail = known.reason
        return JobStatus(job, state, detail, restarts=again)
    again = max(again, known.restarts)
    name = known.state
    if name in WAITING:
        return JobStatus(job, State.WAITING, known.reason or "", restarts=again)
    if name in RUNNING:
        detail = "" if name == "RUNNING" else name.lower()
        return JobStatus(job, State.RUNNING, detail, known.nodes, known.time_left, again)
    if name == "COMPLETED":
        return JobStatus(job, State.DONE, restarts=again)
    state = State.CANCELLED if name.startswith("CANCELLED") else State.FAILED
    why = _why(entries) or known.reason or ""
    detail = ": ".join(filter(None, (name.lower() if state is State.FAILED else "", why)))
    return JobStatus(job, state, detail, restarts=again)


def _here(job: Job, entries: Sequence[Entry], host: str) -> JobStatus:
    """A job of the local executor, whose id is the number of the process that watches over it."""
    again = restarts(entries)
    if job.id is None:
        return JobStatus(job, State.UNKNOWN, "its submission was cut short")
    if socket.gethostname() != host:
        return JobStatus(job, State.UNKNOWN, f"runs on {host}: ask there", restarts=again)
    if alive(int(job.id)):
        return JobStatus(job, State.RUNNING, nodes=host, restarts=again)
    return JobStatus(job, *_recorded(entries), restarts=again)


def _recorded(entries: Sequence[Entry]) -> tuple[State, str]:
    """How a job ended by its own record, where nobody else knows."""
    last = entries[-1] if entries else None
    if last is None:
        return State.UNKNOWN, "it has left no record"
    events = [entry.event for entry in entries]
    if Event.FINISHED in events:  # a cancellation may have come too late
        return State.DONE, ""
    if Event.CANCELLED in events:
        return State.CANCELLED, ""
    if last.event in (Event.STARTED, Event.REQUEUED):
        return State.UNKNOWN, "it has not recorded its end"
    return State.FAILED, _why(entries)


def _why(entries: Sequence[Entry]) -> str:
    """Why a job ended, as its record has it."""
    for entry in reversed(entries):
        if entry.event is Event.GAVE_UP:
            return str(entry.details.get("reason", ""))
        if entry.event is Event.REFUSED:
            return f"exit status {entry.details.get('status')}"
    return ""


def stop(folder: SubmissionFolder, submission: Submission, chosen: Sequence[Job]) -> None:
    """Cancels jobs, the half-submitted ones of the same submission included.

    Raises:
        LaunchError: Slurm does not answer.
        QueueError: the same.
    """
    ids = [job.id for job in chosen if job.id is not None]
    for job in ids:
        Attempts(folder.records, job).add(Event.CANCELLED)
    if submission.executor == "local":
        for job in dict.fromkeys(ids):
            _stop_here(int(job))
        return
    lost = with_comment(submission.token) if any(job.id is None for job in chosen) else []
    cancel([*ids, *lost])


def alive(watcher: int) -> bool:
    """Whether a process is there, and is one that watches over a local job."""
    with suppress(OSError):
        words = Path(f"/proc/{watcher}/cmdline").read_bytes().split(b"\0")
        return any(b"submitit.local" in word for word in words)
    return False


def _stop_here(watcher: int) -> None:
    """Asks a local job to stop: it saves its state, as on a cluster."""
    if alive(watcher):
        with suppress(ProcessLookupError):
            os.kill(watcher, signal.SIGTERM)  # which it hands to its tasks
