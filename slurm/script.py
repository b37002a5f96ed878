"""The lines of a batch script around submitit's: what comes before the tasks, and after."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

WAIT = 600
"""Seconds after which a script that waits for Slurm to end it gives up waiting."""

JOB = "job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
"""The id of the job as people write it: `12`, or `12_3` in an array."""


def before(
    *,
    modules: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    code: Path | None = None,
    setup: Sequence[str] = (),
) -> list[str]:
    """The lines before the tasks start.

    Args:
        modules: to load.
        environment: variables to export.
        code: the folder of a snapshot, from which Python takes its packages instead of from
            the working folder or wherever they are installed.
        setup: lines of a person, which come last.
    """
    lines = ["trap 'terminated=1' TERM  # outlives its tasks, to see how they end"]
    if modules:
        lines.append(shlex.join(["module", "load", *modules]))
    for name, value in (environment or {}).items():
        lines.append(f"export {name}={shlex.quote(value)}")
    if code is not None:
        lines.append("export PYTHONSAFEPATH=1")
        lines.append(f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}")
    return [*lines, *setup]


def after(python: str, records: Path, *, retries: int, backoff: int) -> list[str]:
    """The lines after the tasks have ended: whether the job starts again (see `slurm.requeue`).

    A script that got SIGTERM itself waits for its end: Slurm is about to requeue the job or to
    cancel it, and knows which.

    Args:
        python: the command that starts Python.
        records: the folder with the records of attempts.
        retries: failures after which the job starts again.
        backoff: seconds of waiting after the first of them.
    """
    return [
        "status=$?",
        'if [ $status -ne 0 ] && [ -n "$terminated" ]; then',
        f"  trap '' TERM; sleep {WAIT}; exit $status",
        "fi",
        JOB,
        f"next=$({python} -m slurm.requeue {shlex.quote(str(records))}"
        f' --job "$job" --status $status --retries {retries} --backoff {backoff})',
        "case $next in",
        "  requeue*)",
        "    trap '' TERM  # the requeue would end this script before the next line",
        '    scontrol requeue "$job" || exit $status',
        '    scontrol update JobId="$job" StartTime="now+${next#requeue }"',
        f"    sleep {WAIT} ;;",
        "esac",
        "exit $status",
    ]
