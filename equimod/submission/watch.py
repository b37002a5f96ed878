"""Looking after a submission: its state, its logs, its end. Nothing here imports torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from augspec import meant
from equimod.exits import mistake
from equimod.submission.profiles import UnknownProfileError, load_profile
from equimod.submission.resume import ResumeError, resume
from equimod.submission.status import PointStatus, point_statuses, render, summary
from slurm.commands import LaunchError
from slurm.logs import follow, tail
from slurm.queue import QueueError
from slurm.snapshot import SnapshotError
from slurm.state import State, stop
from slurm.submission import SubmissionError, SubmissionFolder

FAILED = 1
"""The exit status where a point has failed."""

PAUSE = 5.0
"""Seconds between two looks at the queue: many people ask it."""

MENDABLE = (
    LaunchError,
    OSError,
    QueueError,
    ResumeError,
    SnapshotError,
    SubmissionError,
    UnknownProfileError,
)
"""What is no bug, but for the user to mend."""


def show_status(root: Path, *, watch: bool) -> int:
    """Shows the state of a submission.

    Args:
        root: of the submission.
        watch: go on until nothing will change any more.

    Returns:
        The exit status: 0; 1 if a point has failed; 2 for a user's mistake.
    """
    console = Console()
    try:
        points = point_statuses(root)
        if watch and any(point.active for point in points):
            points = _watch(root, points, console)
        else:
            console.print(_shown(root, points))
    except MENDABLE as error:
        return mistake(error)
    return FAILED if any(point.job.state is State.FAILED for point in points) else 0


def _watch(root: Path, points: list[PointStatus], console: Console) -> list[PointStatus]:
    with Live(_shown(root, points), console=console, auto_refresh=False) as live:
        while any(point.active for point in points):
            time.sleep(PAUSE)
            points = point_statuses(root)
            live.update(_shown(root, points), refresh=True)
    return points


def _shown(root: Path, points: Sequence[PointStatus]) -> Group:
    return Group(render(str(root), points), Text(summary(points)))


def show_logs(root: Path, point: str | None, *, follow: bool, lines: int) -> int:
    """Shows what the jobs of a submission have printed.

    Args:
        root: of the submission.
        point: one of its points; all if None.
        follow: go on until nothing will be printed any more.
        lines: of what is there already, from each log.

    Returns:
        The exit status: 0, or 2 for a user's mistake.
    """
    console = Console()
    try:
        logs = _logs(root, _chosen(root, [] if point is None else [point]))
        if follow:
            _follow(root, logs, console, lines)
        else:
            for path, label in logs.items():
                if _show_head(label, path, console):
                    for line in tail(path, lines):
                        console.print(Text(line), soft_wrap=True)
    except MENDABLE as error:
        return mistake(error)
    return 0


def _logs(root: Path, points: Sequence[PointStatus]) -> dict[Path, str]:
    """The logs of the first processes, with the point and the kind of job that they are of."""
    folder, found = SubmissionFolder(root), {}
    for point in points:
        for kind, status in point.jobs.items():
            if status.job.id is not None:
                # where one job does all, as on this machine, its last part names the log
                log = folder.logs / f"{status.job.id}_0_log.out"
                found[log] = f"{point.name} {kind}".strip()
    return found


def _show_head(label: str, path: Path, console: Console) -> bool:
    """Names a log; returns whether it is there."""
    console.print(Text(f"==> {label}: {path}", "bold"), soft_wrap=True)
    there = path.is_file()
    if not there:
        console.print(Text("nothing yet", "dim"))
    return there


def _follow(root: Path, logs: dict[Path, str], console: Console, lines: int) -> None:
    for path, label in logs.items():
        _show_head(label, path, console)
    for line in follow(list(logs), _until_done(root), lines):
        label = f"{logs[line.path]}: " if len(logs) > 1 else ""
        console.print(Text.assemble((label, "cyan"), line.text), soft_wrap=True)


def _until_done(root: Path) -> Callable[[], bool]:
    """Tells, asking the queue now and then only, whether nothing will be printed any more."""

    def looks() -> Iterator[bool]:
        asked, active = time.monotonic(), True
        while True:
            if time.monotonic() - asked > PAUSE:
                active = any(point.active for point in point_statuses(root))
                asked = time.monotonic()
            yield not active

    answers = looks()
    return lambda: next(answers)


def cancel_jobs(root: Path, names: Sequence[str]) -> int:
    """Cancels the jobs of a submission, or those of some points.

    Returns:
        The exit status: 0, or 2 for a user's mistake.
    """
    try:
        points = _chosen(root, names)
        folder = SubmissionFolder(root)
        jobs = [
            status.job
            for point in points
            for status in point.jobs.values()
            if status.state.active or status.job.id is None
        ]
        stop(folder, folder.read(), jobs)
    except MENDABLE as error:
        return mistake(error)
    done = {job.point for job in jobs}
    print(f"cancelled {len(done)} of {len(points)}; `equimod resume {root}` goes on with them")
    return 0


def resume_jobs(root: Path, profile: str | None, profile_overrides: Sequence[str]) -> int:
    """Submits what remains to be done; see `equimod resume`.

    Returns:
        The exit status: 0, or 2 for a user's mistake.

    Raises:
        SpecError: a profile has mistakes.
    """
    try:
        if profile is None and profile_overrides:
            profile = str(SubmissionFolder(root).profile)
        where = load_profile(profile, profile_overrides) if profile is not None else None
        remains = resume(root, where)
    except MENDABLE as error:
        return mistake(error)
    counts = ((remains.train, "train and measure"), (remains.evaluate, "measure"))
    parts = [f"{len(names)} to {what}" for names, what in counts if names]
    print(f"submitted: {', '.join(parts)}" if parts else "nothing remains to be submitted")
    return 0


def _chosen(root: Path, names: Sequence[str]) -> list[PointStatus]:
    points = point_statuses(root)
    known = [point.name for point in points]
    for name in names:
        if name not in known:
            listed = ", ".join(known) if any(known) else "the run has no points"
            raise SubmissionError(f"no point {name!r}{meant(name, known)} ({listed})")
    return [point for point in points if not names or point.name in names]
