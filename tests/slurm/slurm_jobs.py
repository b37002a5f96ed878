"""Jobs on a real Slurm cluster, for the tests: submitted, waited for, and read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from slurm import queue
from slurm.attempts import Attempts, Event
from slurm.launcher import Launcher
from slurm.profile import Profile
from slurm.state import RUNNING, WAITING
from slurm.task import Task, Work

HERE = str(Path(__file__).parent)


def until(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Waits for `ready()`, and fails where it does not become true in time."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.1)


class Jobs:
    """Submits works to the cluster and tells what became of them.

    Attributes:
        folder: for scripts, logs and records.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids: list[str] = []

    def submit(
        self,
        *works: Work,
        after: Sequence[str] = (),
        token: str | None = None,
        **profile: object,
    ) -> list[str]:
        """Submits works as a job, or as an array; returns their ids."""
        given: dict[str, object] = {
            "memory": "200MB",
            "time": "0:20:00",
            "signal_delay": 10,
            "backoff": 1,
        }
        given |= {"environment": {"PYTHONPATH": HERE}}
        where = Profile.model_validate({"version": 1, "name": "test"} | given | profile)
        records = self.folder / "attempts"
        launcher = Launcher(where, self.folder / "logs", records, token=token)
        tasks = [Task(work, records, self.folder) for work in works]
        new = launcher.submit("test", tasks, after)
        self.ids += new
        return new

    def events(self, job: str) -> list[str]:
        """What a job's record says."""
        return [str(entry.event) for entry in Attempts(self.folder / "attempts", job).read()]

    def wait(self, job: str, event: Event) -> None:
        """Waits until something has happened to a job."""
        until(lambda: event in self.events(job), f"{job} {event}")

    def ended(self, *jobs: str, seconds: float = 60) -> dict[str, str]:
        """Waits until jobs have left the queue, and returns how, in Slurm's words."""
        states: dict[str, str] = {}

        def all_ended() -> bool:
            states.update({job: each.state for job, each in queue.jobs(jobs).items()})
            return not any(state in WAITING | RUNNING for state in states.values())

        until(all_ended, f"the end of {', '.join(jobs)}", seconds)
        return states

    def log(self, job: str, task: int = 0) -> str:
        """What a job's process has printed."""
        return (self.folder / "logs" / f"{job}_{task}_log.out").read_text()
