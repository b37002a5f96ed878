"""Whether a job that has ended early starts again, and after how long.

Decided by the batch script, which outlives the tasks: a task that was killed decides nothing. The
script runs `python -m slurm.requeue ...` and does what is printed: `requeue SECONDS`, or `end`.
This module imports nothing that is slow or may be missing where the script runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slurm.attempts import Attempts, Entry, Event

FINISHED, MISTAKE, INTERRUPTED = 0, 2, 130
"""What the work of a job returns: it is done; a person must mend something; call it again."""

LONGEST = 3600
"""Seconds that a job waits at most before it starts again."""

IDLE_STOPS = 5
"""Stops in a row, all before the work could save anything, after which a job gives up."""


@dataclass(frozen=True)
class Decision:
    """What becomes of a job.

    Attributes:
        delay: seconds after which it may start again; None if it does not.
        reason: why, for a person.
    """

    delay: int | None
    reason: str


def decide(entries: Sequence[Entry], status: int, *, retries: int, backoff: int) -> Decision:
    """Decides what becomes of a job whose tasks have ended.

    A job that was asked to stop starts again at once, however often. One that failed starts again
    `retries` times, after `backoff` seconds, then twice as many, and so on up to an hour.

    Args:
        entries: the record of this job, this attempt included.
        status: exit status of the tasks: the highest of all.
        retries: failures after which it is tried again.
        backoff: seconds of waiting after the first failure.
    """
    last = entries[-1].event if entries else None
    if last is Event.CANCELLED:
        return Decision(None, "cancelled")
    if status == FINISHED:
        return Decision(None, "finished")
    if asked_to_stop(entries, status):
        ends = [entry for entry in entries if entry.event in (Event.STOPPED, Event.FAILED)]
        recent = ends[-IDLE_STOPS:]
        idle = [e.event is Event.STOPPED and not e.details.get("saved") for e in recent]
        if len(recent) == IDLE_STOPS and all(idle):
            reason = f"stopped {IDLE_STOPS} times in a row before it could save anything"
            return Decision(None, reason)
        return Decision(0, "stopped")
    if last is Event.REFUSED:
        return Decision(None, f"exit status {status}, which another start would not change")
    failures = 1 + sum(entry.event is Event.FAILED for entry in entries)
    if failures > retries:
        times = "once" if failures == 1 else f"{failures} times"
        return Decision(None, f"failed {times}, the last time with exit status {status}")
    delay = min(backoff * 2 ** (failures - 1), LONGEST)
    return Decision(delay, f"failure {failures} of {retries} that are allowed, status {status}")


def asked_to_stop(entries: Sequence[Entry], status: int) -> bool:
    """Whether tasks have ended because they were asked to.

    With another status they were asked because one of them had died: srun then ends the others.
    """
    return bool(entries) and entries[-1].event is Event.STOPPED and status == INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Decides, records the decision and prints it for the batch script."""
    parser = argparse.ArgumentParser(prog="python -m slurm.requeue")
    parser.add_argument("records", type=Path)
    parser.add_argument("--job", required=True)
    parser.add_argument("--status", type=int, required=True)
    parser.add_argument("--retries", type=int, required=True)
    parser.add_argument("--backoff", type=int, required=True)
    given = parser.parse_args(arguments)
    record = Attempts(given.records, given.job)
    entries = record.read()
    decision = decide(entries, given.status, retries=given.retries, backoff=given.backoff)
    last = entries[-1].event if entries else None
    failed = given.status != FINISHED and last is not Event.CANCELLED
    if failed and last is not Event.REFUSED and not asked_to_stop(entries, given.status):
        record.add(Event.FAILED, status=given.status)
    if decision.delay is not None:
        record.add(Event.REQUEUED, delay=decision.delay, reason=decision.reason)
        print(f"requeue {decision.delay}")
    else:
        if failed:
            record.add(Event.GAVE_UP, reason=decision.reason)
        print("end")
    print(f"slurm: {decision.reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
