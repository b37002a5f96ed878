"""The state of a submission as a table: what each point's jobs do, and how far its training is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import ROUNDED
from rich.table import Table
from rich.text import Text

from equimod.submission.jobs import EVALUATE, TRAIN
from equimod.submission.progress import Progress, progress
from slurm.state import JobStatus, State, statuses
from slurm.submission import SubmissionFolder

COLOURS = {
    State.WAITING: "yellow",
    State.RUNNING: "cyan",
    State.DONE: "green",
    State.FAILED: "red",
    State.CANCELLED: "magenta",
    State.UNKNOWN: "red",
}


@dataclass(frozen=True)
class PointStatus:
    """A point of a submission, and how it is.

    Attributes:
        name: of the point; empty for a run without seeds or sweep.
        jobs: how its jobs are, by kind.
        arms: how far its arms are.
    """

    name: str
    jobs: dict[str, JobStatus]
    arms: list[Progress]

    @property
    def job(self) -> JobStatus:
        """The job that matters now: the evaluation's from when the training is done."""
        train = self.jobs.get(TRAIN)
        if train is not None and train.state is not State.DONE:
            return train
        return self.jobs.get(EVALUATE) or next(iter(self.jobs.values()))

    @property
    def done(self) -> bool:
        """Whether nothing remains to be done."""
        return all(job.state is State.DONE for job in self.jobs.values())

    @property
    def active(self) -> bool:
        """Whether any of its jobs will go on by itself."""
        return any(job.state.active for job in self.jobs.values())


def point_statuses(root: Path) -> list[PointStatus]:
    """How each point of a submission is, in the order of submission.

    Raises:
        SubmissionError: nothing was submitted from `root`, or its record is damaged.
        QueueError: Slurm is not there, or does not answer.
    """
    folder = SubmissionFolder(root)
    points: dict[str, dict[str, JobStatus]] = {}
    for status in statuses(folder, folder.read()):
        points.setdefault(status.job.point, {})[status.job.kind] = status
    return [PointStatus(name, jobs, progress(root / name)) for name, jobs in points.items()]


def render(title: str, points: Sequence[PointStatus]) -> Table:
    """The table for a terminal."""
    table = Table(title=title, box=ROUNDED, title_justify="left")
    for name in ("point", "job", "state", "epochs", "node", "time left"):
        # the names of arms and points may be long; the rest is useless when cut
        table.add_column(name, overflow="fold", no_wrap=name in ("job", "node", "time left"))
    table.add_column("restarts", justify="right")
    for point in points:
        job = point.job
        table.add_row(
            Text(point.name or "the run"),
            Text(job.job.id or "?"),
            _state(point),
            Text("\n".join(map(_progress, point.arms))),
            Text(job.nodes),
            Text(job.time_left),
            Text(str(sum(each.restarts for each in point.jobs.values()))),
        )
    return table


def _state(point: PointStatus) -> Text:
    job = point.job
    kind = "" if point.done else f"{job.job.kind}: "
    text = Text(f"{kind}{job.state}", COLOURS[job.state])
    if job.detail:
        text.append(f" ({job.detail})", "dim")
    return text


def _progress(arm: Progress) -> str:
    """How far an arm is, and the k-NN accuracy where one was measured, otherwise the loss."""
    done = f"{arm.arm} {arm.epoch:.3g}/{arm.epochs}"
    knn = [name for name in arm.metrics if name.startswith("knn/")]
    if knn:
        return f"{done} {knn[0]} {arm.metrics[knn[0]]:.2f}"
    loss = arm.metrics.get("loss/total")
    return f"{done} loss {loss:.3f}" if loss is not None else done


def summary(points: Sequence[PointStatus]) -> str:
    """The counts in one line: `5 points: 3 done, 1 running, 1 waiting`."""
    counts: dict[str, int] = {}
    for point in points:
        counts[point.job.state] = counts.get(point.job.state, 0) + 1
    listed = ", ".join(f"{count} {state}" for state, count in counts.items())
    return f"{len(points)} point{'s' if len(points) != 1 else ''}: {listed}"
