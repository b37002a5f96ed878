"""What runs inside of a job: the work, and the signals around it.

A job is told to stop by SIGUSR2, some time before Slurm ends it (`--signal`, preemption), and by
SIGTERM when that moment has come (`scancel`, `scontrol requeue`, a preemption without a warning).
Work that wants to save something first catches these signals itself, and returns 130; where it does
not, it has nothing to save, and the task ends at once. Whether the job starts again is not decided
here but in the batch script (`slurm.requeue`), since a task may die at any moment.

submitit starts the tasks. Of its own signal handlers nothing is left: they would requeue from
inside of the handler, in the middle of whatever the work is doing.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import submitit
from submitit.helpers import TorchDistributedEnvironment

from slurm.attempts import Attempts, Event
from slurm.requeue import FINISHED, INTERRUPTED

STOP_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)

LOCAL_RESTART = 144
"""The exit status at which submitit's local executor starts a job's tasks again."""

Work = Callable[[], int]
"""What a job does, picklable by the name of its class. Called again, it goes on where it stopped.

It returns 0 when it is done, 130 when it was interrupted and has saved its state, and another
number when calling it again would not help, such as 2 for a user's mistake. Dying or raising is a
failure.
"""


@dataclass(frozen=True)
class Task:
    """A job's work, and where it belongs.

    Attributes:
        work: what to do.
        records: the folder with the records of attempts.
        folder: the working folder.
    """

    work: Work
    records: Path
    folder: Path


def run(task: Task) -> int:
    """Does a task's work, in each of the job's processes.

    Returns:
        0.

    Raises:
        SystemExit: with the work's status, where that is not 0.
    """
    env = submitit.JobEnvironment()
    first = env.global_rank == 0
    record = Attempts(task.records, env.job_id)
    _forget(env)
    os.chdir(task.folder)
    TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)

    def leave(number: int, frame: FrameType | None) -> None:
        # nothing is half-written, since files are replaced whole; and the interpreter's own exit
        # would wait for threads
        if first:
            record.add(Event.STOPPED, signal=signal.Signals(number).name, saved=False)
        os._exit(_stopped(env, record) if first else FINISHED)

    for number in STOP_SIGNALS:
        signal.signal(number, leave)
    signal.signal(signal.SIGCONT, signal.SIG_IGN)  # Slurm sends it before SIGTERM
    if first:
        before = sum(entry.event is Event.STARTED for entry in record.read())
        record.add(Event.STARTED, restart=before, host=socket.gethostname(), pid=os.getpid())
    status = task.work()
    if not first:
        return FINISHED
    if status == FINISHED:
        record.add(Event.FINISHED)
        return FINISHED
    if status == INTERRUPTED:
        record.add(Event.STOPPED, saved=True)
        status = _stopped(env, record)
    else:
        record.add(Event.REFUSED, status=status)
    sys.exit(status)


def _stopped(env: submitit.JobEnvironment, record: Attempts) -> int:
    """The exit status of a task that was asked to stop."""
    if env.cluster != "local":
        return INTERRUPTED
    # there is no batch script; a cancelled job must not be started again
    cancelled = any(entry.event is Event.CANCELLED for entry in record.read())
    return INTERRUPTED if cancelled else LOCAL_RESTART


def _forget(env: submitit.JobEnvironment) -> None:
    """Deletes the result of an earlier attempt, which submitit would take for this one's."""
    result = env.paths.result_pickle
    for path in (result, result.with_name(result.name + ".save_tmp")):
        path.unlink(missing_ok=True)
