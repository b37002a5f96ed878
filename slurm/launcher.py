"""From a profile and tasks to jobs: arrays, dependencies, and scripts to read before they run."""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from slurm.commands import LaunchError, cancel, max_array_size, outside_of_jobs
from slurm.profile import Profile
from slurm.script import after, before
from slurm.task import Task, run


@dataclass(frozen=True)
class Launcher:
    """Submits tasks as a profile says.

    Attributes:
        profile: where and with what.
        folder: for the scripts, the logs and submitit's own files; all nodes must see it.
        records: for the records of attempts.
        code: a snapshot to run instead of the installed packages.
        token: a comment by which the jobs can be found in the queue, should their ids get lost.
    """

    profile: Profile
    folder: Path
    records: Path
    code: Path | None = None
    token: str | None = None

    def submit(self, name: str, tasks: Sequence[Task], after: Sequence[str] = ()) -> list[str]:
        """Submits tasks: one as a job, several as arrays.

        Args:
            name: of the job.
            tasks: what to do.
            after: for each task the job that must have succeeded before; empty for none.

        Returns:
            For each task the id of its job: `12`, or `12_3`.

        Raises:
            LaunchError: the cluster refuses; of these tasks, nothing is left in the queue.
        """
        found: list[str] = []
        size = max_array_size() if len(tasks) > 1 else 1
        for first in range(0, len(tasks), size):
            chunk = slice(first, first + size)
            try:
                found += self._submit(name, tasks[chunk], after[chunk])
            except LaunchError:
                cancel(found)
                raise
        return found

    def _submit(self, name: str, tasks: Sequence[Task], after: Sequence[str]) -> list[str]:
        executor = self._executor(name, len(tasks), after)
        silent = contextlib.redirect_stderr(io.StringIO())  # the error says it again
        try:
            with outside_of_jobs(), silent:
                jobs = executor.map_array(run, tasks)
        except (FailedJobError, FailedSubmissionError) as error:
            raise LaunchError(_reason(str(error), self.profile)) from None
        return [job.job_id for job in jobs]

    def script(self, name: str, count: int, after: Sequence[str] = ()) -> str:
        """The batch script with which `count` tasks would be submitted."""
        executor = self._executor(name, count, after)
        if count > 1:
            executor.parameters["map_count"] = count
        # submitit has no public name for it
        text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
        return text

    def _executor(self, name: str, count: int, after: Sequence[str]) -> submitit.SlurmExecutor:
        try:
            executor = submitit.SlurmExecutor(self.folder, python=self.python)
        except RuntimeError:
            message = "there is no Slurm on this machine (no srun): log in to the cluster first, or"
            raise LaunchError(f"{message} choose a profile with `executor: local`") from None
        executor.update_parameters(**self._parameters(name, count, after))
        return executor

    @property
    def python(self) -> str:
        """The command that starts Python in a job."""
        return self.profile.python or shlex.quote(sys.executable)

    def _parameters(self, name: str, count: int, dependencies: Sequence[str]) -> dict[str, Any]:
        p = self.profile
        around = {
            "setup": before(
                modules=p.modules, environment=p.environment, code=self.code, setup=p.setup
            ),
            "teardown": after(
                shlex.quote(sys.executable), self.records, retries=p.retries, backoff=p.backoff
            ),
        }
        asked = {
            "partition": p.partition,
            "account": p.account,
            "qos": p.qos,
            "constraint": p.constraint,
            "exclude": p.exclude,
            "nodelist": p.nodelist,
            "nodes": p.nodes,
            "ntasks_per_node": p.processes,
            "cpus_per_task": p.cpus_per_task,
            "mail_user": p.mail_user,
            "mail_type": ",".join(p.mail_type) if p.mail_type else None,
            "array_parallelism": p.array_parallelism or count,
            "comment": self.token,
            "dependency": _dependency(dependencies),
            "time": p.minutes,
            "signal_delay_s": p.signal_delay,
            "srun_args": self._srun(),
            "job_name": name,
            "stderr_to_stdout": True,
            "additional_parameters": self._more(),
        }
        return around | {key: value for key, value in asked.items() if value is not None}

    def _srun(self) -> list[str]:
        # without the first, a job whose rank 3 has died hangs until its time is over
        given = ["--kill-on-bad-exit=1"]
        if self.profile.cpus_per_task:
            # from Slurm 22.05 on srun does not take it from the job
            given.append(f"--cpus-per-task={self.profile.cpus_per_task}")
        if self.profile.container_image:
            given.append(f"--container-image={self.profile.container_image}")
        return [*given, *self.profile.srun]

    def _more(self) -> dict[str, Any]:
        """The options that submitit has no name for, or would change."""
        p = self.profile
        more: dict[str, Any] = {"requeue": True, "kill-on-invalid-dep": "yes"}
        if p.gpus_per_node and p.gpu_request != "none":
            kind = f"{p.gpu_type}:" if p.gpu_type else ""
            name, prefix = ("gres", "gpu:") if p.gpu_request == "gres" else ("gpus-per-node", "")
            more[name] = f"{prefix}{kind}{p.gpus_per_node}"
        if p.reservation:
            more["reservation"] = p.reservation
        memory = {"mem": p.memory, "mem-per-cpu": p.memory_per_cpu, "mem-per-gpu": p.memory_per_gpu}
        return more | {k: v for k, v in memory.items() if v} | dict(p.sbatch)


def _dependency(jobs: Sequence[str]) -> str | None:
    """The option that lets each element wait for its own job."""
    if not jobs:
        return None
    if len(jobs) == 1:
        return f"afterok:{jobs[0]}"
    arrays = {job.partition("_")[0] for job in jobs}
    if len(arrays) != 1 or [job.partition("_")[2] for job in jobs] != [*map(str, range(len(jobs)))]:
        raise ValueError(f"{', '.join(jobs)} are not the elements of one array, in order")
    return f"aftercorr:{arrays.pop()}"


def _reason(text: str, profile: Profile) -> str:
    """What sbatch said, with what the profile asked for."""
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in text.splitlines()]
    said = "; ".join(line for line in lines if line) or "no reason given"
    return f"sbatch refused the job of profile {profile.name!r}: {said}"
