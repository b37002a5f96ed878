"""Submitting a run: everything is checked and written down before the cluster hears of it."""

from __future__ import annotations

import datetime
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import equimod
from augspec import write_atomically
from equimod.config import Run, load_run
from equimod.published import specs
from equimod.submission.jobs import EVALUATE, TRAIN
from equimod.submission.launch import launch, launchers
from equimod.submission.points import Point, write_points
from equimod.training.folder import RunFolder, resolved, to_yaml
from slurm.commands import LaunchError, would_accept
from slurm.profile import Profile
from slurm.snapshot import take
from slurm.submission import Submission, SubmissionFolder

PACKAGES = ("augspec", "equimod", "slurm")
"""What a snapshot holds."""

DEPENDENCY = "#SBATCH --dependency"
"""How the line of a script begins that makes a job wait for another."""


class SubmitError(ValueError):
    """A submission that cannot be made as it was asked for."""


@dataclass(frozen=True)
class Request:
    """What a person wants to submit.

    Attributes:
        run: path of the run document.
        overrides: assignments for all points.
        points: seeds and values of a sweep; one point without a name for the run as it is.
        profile: where it runs.
        root: the folder for the results.
    """

    run: Path
    overrides: tuple[str, ...]
    points: tuple[Point, ...]
    profile: Profile
    root: Path

    def runs(self) -> list[tuple[Point, Run]]:
        """Every point's run, checked.

        Raises:
            SpecError: the run document or an assignment has mistakes.
            SubmitError: a batch cannot be shared by the processes of the job.
        """
        found = [(p, load_run(self.run, [*self.overrides, *p.overrides])) for p in self.points]
        for point, run in found:
            for name, arm in run.arms.items():
                size, tasks = arm.training.batch_size, self.profile.tasks
                if size % tasks:
                    where = f"arm {name!r}" + (f" of {point.name}" if point.name else "")
                    message = (
                        f"training.batch_size is {size} ({where}), which the {tasks} processes"
                    )
                    raise SubmitError(
                        f"{message} of profile {self.profile.name!r} cannot share equally"
                    )
        return found


@dataclass(frozen=True)
class Plan:
    """How one kind of job would be submitted, and what the cluster says to that.

    Attributes:
        kind: of job.
        script: the batch script.
        accepted: whether the cluster would take it.
        said: why not, or when and where it would start.
    """

    kind: str
    script: str
    accepted: bool
    said: str


def plans(request: Request) -> Iterator[Plan]:
    """How each kind of job of a submission would be submitted; nothing without Slurm.

    Raises:
        LaunchError: there is no Slurm on this machine.
    """
    if request.profile.executor != "slurm":
        return
    folder, count = SubmissionFolder(request.root.absolute()), len(request.points)
    name = request.root.name
    waiting = [f"<{TRAIN}>_{k}" for k in range(count)] if count > 1 else [f"<{TRAIN}>"]
    train, evaluate = launchers(request.profile, folder, "<token>")
    for kind, script in (
        (TRAIN, train.script(name, count)),
        (EVALUATE, evaluate.script(f"{name}-{EVALUATE}", count, waiting)),
    ):
        # what it waits for is not there yet
        lines = [line for line in script.splitlines() if not line.startswith(DEPENDENCY)]
        yield Plan(kind, script, *would_accept("\n".join(lines)))


def write_documents(root: Path, runs: Sequence[tuple[Point, Run]]) -> list[Path]:
    """Writes every point's run into its folder, and the list of the points.

    Returns:
        The run folders.

    Raises:
        OSError: a folder cannot be written to.
    """
    folders = [RunFolder(root / point.name) for point, _ in runs]
    for folder, (_, run) in zip(folders, runs, strict=True):
        folder.record_settings(run)
    points = [point for point, _ in runs]
    if any(point.name for point in points):
        write_points(root, points)
    return [folder.root for folder in folders]


def submit(request: Request) -> Submission:
    """Submits a request: training, and the evaluation that waits for it.

    Returns:
        The record of the submission.

    Raises:
        SpecError: the run document or an assignment has mistakes.
        SubmitError: it cannot be made so, or the folder holds something else.
        LaunchError: the cluster refuses it. Then nothing stays behind, in the queue or on the disk.
        OSError: the folder cannot be written to.
    """
    runs = request.runs()
    folder = SubmissionFolder(request.root.absolute())
    _require_free(folder, runs)
    _require_accepted(request)
    with _clean_on_failure(folder, [folder.root / point.name for point in request.points]):
        write_documents(folder.root, runs)
        write_atomically(folder.profile, to_yaml(request.profile.document()))
        snapshot = take(PACKAGES, folder.code, _beside_packages())
        submission = Submission(
            name=request.root.name,
            executor=request.profile.executor,
            token=f"equimod-{uuid.uuid4().hex[:12]}",
            submitted=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            command=(Path(sys.argv[0]).name, *sys.argv[1:]),
            host=socket.gethostname(),
            code=snapshot.hash,
            jobs=(),
        )
        return launch(folder, submission, request.profile, [p.name for p in request.points])


def _beside_packages() -> dict[str, Path]:
    """What a checkout has beside its packages, by its place in an installed one."""
    found = specs()
    if found.parent == Path(equimod.__file__).parent:
        return {}
    places = {"equimod/specs": found, "augspec/recipes": found / "augmentations"}
    return places | {"augspec/schema": found / "schema"}


def _require_free(folder: SubmissionFolder, runs: Sequence[tuple[Point, Run]]) -> None:
    """That nothing was submitted from the folder, and that it holds no other run."""
    if folder.file.exists():
        message = f"{folder.root} was submitted before: `equimod status` and `equimod resume` take"
        raise SubmitError(f"{message} it from there; or choose another folder with --out")
    for point, run in runs:
        found = RunFolder(folder.root / point.name).document
        if found.is_file() and found.read_text(encoding="utf-8") != to_yaml(resolved(run)):
            raise SubmitError(f"{found} is of a run that differs: choose another folder with --out")


def _require_accepted(request: Request) -> None:
    """That the cluster would take the jobs, asked before anything is written."""
    for plan in plans(request):
        if not plan.accepted:
            what = f"the {plan.kind} job of profile {request.profile.name!r}"
            raise LaunchError(f"the cluster refuses {what}: {plan.said}")


@contextmanager
def _clean_on_failure(folder: SubmissionFolder, points: Sequence[Path]) -> Iterator[None]:
    """Removes what was written, if the submission fails; what was there before stays."""
    new = [path for path in (folder.root, *points, folder.path) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in new:
            shutil.rmtree(path, ignore_errors=True)
        raise
