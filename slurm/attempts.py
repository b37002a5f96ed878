"""The record of a job's attempts: when it started, how each start ended, and what came of it.

One file a job, named by its id, with one JSON object a line. The tasks of a job, the batch script
around them and the command line all append to it, and whoever wants to know what became of the job
reads it: it is there where accounting is off, and long after the queue has forgotten the job.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Event(StrEnum):
    """What can happen to a job."""

    STARTED = "started"
    """Its tasks have started; `host`, `pid`, and `restart`: how often they had before."""
    FINISHED = "finished"
    """The work is done."""
    STOPPED = "stopped"
    """It was asked to stop, and did; `saved` says whether the work had the chance to save."""
    REFUSED = "refused"
    """The work said that calling it again would not help; `status` is what it returned."""
    FAILED = "failed"
    """A task has died, or raised; `status` is the exit status."""
    REQUEUED = "requeued"
    """It waits to start again, for at least `delay` seconds."""
    GAVE_UP = "gave up"
    """It will not start again by itself; `reason` says why."""
    CANCELLED = "cancelled"
    """A person has cancelled it."""


@dataclass(frozen=True)
class Entry:
    """A line of the record.

    Attributes:
        event: what happened.
        time: when, in seconds since 1970.
        details: what else is known.
    """

    event: Event
    time: float
    details: dict[str, Any]


class Attempts:
    """The record of one job.

    Args:
        folder: of the records; need not exist yet.
        job: id of the job, such as `12` or `12_3`.
    """

    def __init__(self, folder: Path, job: str) -> None:
        self.path = folder / f"{job}.jsonl"

    def add(self, event: Event, **details: Any) -> None:
        """Appends a line: whole, or not at all, whoever else appends at the same time.

        Raises:
            OSError: the file cannot be written to.
        """
        entry = {"event": event, "time": round(time.time(), 3), **details}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, (json.dumps(entry) + "\n").encode())
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> list[Entry]:
        """All lines, the oldest first; a line that a full disk cut short is left out."""
        if not self.path.is_file():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                details = json.loads(line)
                event, when = details.pop("event"), details.pop("time")
                found.append(Entry(Event(event), float(when), details))
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
        return found


def restarts(entries: Sequence[Entry]) -> int:
    """How often the work was started again."""
    return max(0, sum(entry.event is Event.STARTED for entry in entries) - 1)
