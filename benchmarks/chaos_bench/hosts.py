"""Where the tortured run lives: in processes of this machine, or in a job on a Slurm cluster."""

from __future__ import annotations

import signal
import subprocess
import sys
import sysconfig
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from equimod.submission.jobs import Train
from equimod.submission.profiles import load_profile
from slurm.attempts import Attempts, Event
from slurm.commands import cancel, command
from slurm.launcher import Launcher
from slurm.task import Task

PATIENCE = 300
"""Seconds after which something that should have happened is given up."""


def until(ready: Callable[[], bool], what: str, pause: float = 0.002) -> None:
    """Waits for `ready()`.

    Raises:
        TimeoutError: it has not become true.
    """
    end = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {PATIENCE} s")
        time.sleep(pause)


class Host(ABC):
    """Runs a training, lets it be killed, and starts it again.

    Attributes:
        kinds: the ways to kill it.
    """

    kinds: tuple[str, ...]

    @abstractmethod
    def start(self) -> None:
        """Starts the run for the first time."""

    @abstractmethod
    def kill(self, kind: str) -> None:
        """Kills it, or asks it to stop, in one of the ways of `kinds`."""

    @abstractmethod
    def down(self) -> None:
        """Waits until what was killed computes no more."""

    @abstractmethod
    def ended(self) -> bool:
        """Whether the run has come to its end."""

    @abstractmethod
    def again(self) -> bool:
        """Waits for the run to be started again; False if the kill came after its end."""

    def close(self) -> None:  # noqa: B027
        """Ends what still runs."""


class Processes(Host):
    """`equimod train`, started again by hand."""

    kinds = ("SIGTERM", "SIGUSR2", "SIGINT", "SIGKILL")

    def __init__(self, run: Path) -> None:
        script = Path(sysconfig.get_path("scripts")) / "equimod"
        self._words = [sys.executable, str(script), "train", str(run / "run.yaml")]
        self._words += ["--out", str(run)]
        self._log = (run / "log.txt").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """See `Host.start`."""
        self._process = subprocess.Popen(self._words, stdout=self._log, stderr=self._log)

    def kill(self, kind: str) -> None:
        """See `Host.kill`."""
        assert self._process is not None
        self._process.send_signal(getattr(signal, kind))

    def down(self) -> None:
        """See `Host.down`."""
        assert self._process is not None
        self._process.wait(PATIENCE)

    def ended(self) -> bool:
        """See `Host.ended`."""
        assert self._process is not None
        status = self._process.poll()
        if status is not None and status > 0:
            raise RuntimeError(f"the run has failed with status {status}: see {self._log.name}")
        return status == 0

    def again(self) -> bool:
        """See `Host.again`."""
        assert self._process is not None
        if self._process.returncode == 0:
            return False
        self.start()
        return True

    def close(self) -> None:
        """See `Host.close`."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._log.close()


class Cluster(Host):
    """A job, which starts again by itself."""

    kinds = ("warning (USR2)", "SIGKILL of the task", "scontrol requeue")

    def __init__(self, run: Path, profile: str) -> None:
        folder = run / "slurm"
        settings = [f"retries={10**6}", "backoff=0", "signal_delay=30"]
        where = load_profile(profile, settings)
        self._launcher = Launcher(where, folder / "logs", folder / "attempts")
        self._task = Task(Train(run), folder / "attempts", Path.cwd())
        self._starts = 1

    def start(self) -> None:
        """See `Host.start`."""
        (self._job,) = self._launcher.submit("chaos", [self._task])
        self._record = Attempts(self._launcher.records, self._job)
        until(lambda: self._count(Event.STARTED), "the job's start")

    def kill(self, kind: str) -> None:
        """See `Host.kill`."""
        words = {
            "warning (USR2)": ["scancel", "--signal=USR2", self._job],
            "SIGKILL of the task": ["scancel", "--signal=KILL", f"{self._job}.0"],
            "scontrol requeue": ["scontrol", "requeue", self._job],
        }
        self._entries = len(self._record.read())
        command(words[kind])

    def down(self) -> None:
        """See `Host.down`; the batch script tells of it."""
        until(lambda: len(self._record.read()) > self._entries, "the end of the task")

    def ended(self) -> bool:
        """See `Host.ended`."""
        if self._count(Event.GAVE_UP) or self._count(Event.REFUSED):
            raise RuntimeError(f"the job has failed: see {self._launcher.folder}")
        return bool(self._count(Event.FINISHED))

    def again(self) -> bool:
        """See `Host.again`."""
        until(lambda: self._count(Event.STARTED) > self._starts or self.ended(), "a restart", 0.05)
        self._starts = self._count(Event.STARTED)
        return not self.ended()

    def _count(self, event: Event) -> int:
        return sum(entry.event is event for entry in self._record.read())

    def close(self) -> None:
        """See `Host.close`."""
        if hasattr(self, "_job"):
            cancel([self._job])
