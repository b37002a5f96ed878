"""Slurm's commands, as a person would call them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence

import submitit

KEPT = "SLURM_CONF"
"""The one variable of Slurm that a job may inherit: where the cluster's configuration is."""

TIMEOUT = 60
"""Seconds after which a command that has not answered is given up."""


class LaunchError(RuntimeError):
    """A job that could not be submitted; the message is for the person who wants it to run."""


def would_accept(script: str) -> tuple[bool, str]:
    """Asks the cluster whether it would take a script, without submitting it.

    Returns:
        Whether it would, and what it says: the reason, or when and where the job would start.

    Raises:
        LaunchError: there is no sbatch.
    """
    with outside_of_jobs():
        done = command(["sbatch", "--test-only"], script)
    said = done.stderr.strip().replace("sbatch: ", "")
    return done.returncode == 0, said


def max_array_size() -> int:
    """The most elements that an array may have here; 1,000 where the cluster does not say."""
    for line in command(["scontrol", "show", "config"]).stdout.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize" and value.strip().isdecimal():
            return max(1, int(value) - 1)  # the largest index is one below it, too
    return 1000


def cancel(jobs: Sequence[str]) -> None:
    """Cancels jobs; those that have ended are left alone.

    Raises:
        LaunchError: the cluster does not answer.
    """
    if jobs:
        done = command(["scancel", *jobs])
        if done.returncode and "Invalid job id" not in done.stderr:
            raise LaunchError(f"scancel: {done.stderr.strip()}")


def command(words: Sequence[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs one of Slurm's commands, whatever its exit status.

    Raises:
        LaunchError: it is not there, or does not answer.
    """
    try:
        # long lists of an array's elements are cut off otherwise
        environment = os.environ | {"SLURM_BITSTR_LEN": "0"}
        return subprocess.run(
            words,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        raise LaunchError(f"there is no Slurm on this machine (no {words[0]})") from None
    except OSError as error:
        raise LaunchError(f"{words[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise LaunchError(f"{words[0]} has not answered within a minute") from None


@contextlib.contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Hides the job inside of which this process may run from those that it submits."""
    conf = os.environ.get(KEPT)
    with submitit.helpers.clean_env():
        if conf is not None:
            os.environ[KEPT] = conf
        yield
