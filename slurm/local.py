"""Jobs on this machine, without Slurm: submitit's local executor."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import submitit

from slurm.profile import Profile
from slurm.task import Task, run


def submit_local(task: Task, profile: Profile, folder: Path, code: Path | None = None) -> str:
    """Starts a task on this machine, in processes that outlive this one.

    Args:
        task: what to do.
        profile: how many processes, and for how long.
        folder: for the logs.
        code: a snapshot to run.

    Returns:
        The id of the job: the number of the process that watches over it.
    """
    executor = submitit.LocalExecutor(folder, python=profile.python or None)
    executor.update_parameters(
        timeout_min=profile.minutes,
        signal_delay_s=profile.signal_delay,
        tasks_per_node=profile.processes,
        gpus_per_node=profile.gpus_per_node,
        setup=list(profile.setup),
        stderr_to_stdout=True,
    )
    variables = {}
    if code is not None:
        paths = [str(code), os.environ.get("PYTHONPATH", "")]
        variables = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONSAFEPATH": "1"}
    variables |= profile.environment
    # the end of a terminal must not end what was started from it
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with submitit.helpers.environment_variables(**variables):
            return executor.submit(run, task).job_id
    finally:
        signal.signal(signal.SIGHUP, before)
