"""The state of jobs: from the queue, and from the accounts for those that have left it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from slurm.commands import LaunchError, command

FIELDS = ("JobArrayID", "State", "Reason", "NodeList", "TimeLeft", "RestartCnt")
"""What squeue is asked for; its own names, in all releases since 2018."""
WIDTH = 250
ACCOUNTS = ("JobID", "State", "ExitCode", "NodeList")
"""The same of sacct."""
NOTHING = ("", "None", "N/A", "(null)", "INVALID", "None assigned")
UNKNOWN = "UNKNOWN"

_ELEMENTS = re.compile(r"(?P<job>\d+)_\[(?P<ranges>[\d,:-]+)(%\d+)?\]")


class QueueError(RuntimeError):
    """Slurm cannot be asked; the message is for the person who asks."""


@dataclass(frozen=True)
class JobState:
    """A job as Slurm sees it.

    Attributes:
        state: Slurm's word: `PENDING`, `RUNNING`, `COMPLETED`, `NODE_FAIL` ...; `UNKNOWN` where it
            has forgotten the job.
        reason: why it waits or has ended, in Slurm's words, or why the accounts could not be asked;
            empty where there is none.
        nodes: on which it runs.
        time_left: until its time limit, as Slurm writes it; empty where it does not run.
        restarts: how often it was requeued, as far as Slurm says.
    """

    state: str
    reason: str = ""
    nodes: str = ""
    time_left: str = ""
    restarts: int = 0


def jobs(ids: Sequence[str]) -> dict[str, JobState]:
    """The states of jobs.

    Args:
        ids: such as `12`, or `12_3` for an element of an array.

    Returns:
        The state of each.

    Raises:
        QueueError: Slurm is not there, or its controller does not answer.
    """
    if not ids:
        return {}
    found = dict(_queued())
    missing = [job for job in ids if job not in found]
    why = ""
    if missing:
        try:
            found |= _accounted(missing)
        except QueueError as error:  # many clusters keep no accounts
            why = str(error)
    return {job: found.get(job, JobState(UNKNOWN, why)) for job in ids}


def _queued() -> Iterator[tuple[str, JobState]]:
    """This user's jobs that the controller knows: those that have just ended, too."""
    wanted = ",".join(f"{name}:{WIDTH}|" for name in FIELDS)
    words = ["squeue", "--me", "--noheader", "--array", "--states=all", f"--Format={wanted}"]
    for line in _lines(words):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < len(FIELDS):
            continue
        job, state, reason, nodes, left, restarts = map(_given, cells[: len(FIELDS)])
        again = int(restarts) if restarts.isdecimal() else 0
        for element in elements(job):
            running = state == "RUNNING"
            yield element, JobState(state, reason, nodes, left if running else "", again)


def _accounted(ids: Sequence[str]) -> dict[str, JobState]:
    """Jobs that have left the queue, by the accounts."""
    # elements that never started are in one line, which sacct finds by the id of the array only
    whole = dict.fromkeys(job.partition("_")[0] for job in ids)
    words = ["sacct", "--noheader", "--parsable2", "--allocations"]
    words += [f"--format={','.join(ACCOUNTS)}", f"--jobs={','.join(whole)}"]
    found = {}
    for line in _lines(words):
        cells = line.split("|")
        if len(cells) == len(ACCOUNTS):
            job, state, code, nodes = map(_given, cells)
            state, _, by = state.partition(" ")  # `CANCELLED by 1000`
            reason = f"exit status {code}" if code not in ("", "0:0") else by
            for element in elements(job):
                found[element] = JobState(state, reason, nodes)
    return found


def with_comment(text: str) -> list[str]:
    """This user's jobs in the queue that carry a comment.

    Raises:
        QueueError: Slurm is not there, or its controller does not answer.
    """
    words = ["squeue", "--me", "--noheader", "--format=%A|%k"]
    pairs = (line.strip().partition("|") for line in _lines(words))
    return sorted({job for job, _, comment in pairs if comment == text}, key=int)


def elements(job: str) -> list[str]:
    """The jobs that an id stands for: `12_[0-2,5%4]` is four elements that wait in one line."""
    found = _ELEMENTS.fullmatch(job)
    if found is None:
        return [job]
    return [f"{found['job']}_{number}" for number in _numbers(found["ranges"].split(","))]


def _numbers(ranges: Iterable[str]) -> Iterator[int]:
    for each in ranges:
        span, _, step = each.partition(":")
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1, int(step or 1))


def _lines(words: Sequence[str]) -> Iterator[str]:
    try:
        done = command(words)
    except LaunchError as error:
        raise QueueError(str(error)) from None
    if done.returncode:
        lines = [line.removeprefix(f"{words[0]}: ") for line in done.stderr.splitlines()]
        said = "; ".join(filter(None, map(str.strip, lines))) or f"exit status {done.returncode}"
        raise QueueError(f"{words[0]} failed: {said}")
    return (line for line in done.stdout.splitlines() if line.strip())


def _given(cell: str) -> str:
    return "" if cell in NOTHING else cell
