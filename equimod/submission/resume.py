"""Going on with a submission: unfinished points get new jobs, with the same code and settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from equimod.submission.jobs import TRAIN
from equimod.submission.launch import launch
from equimod.submission.profiles import load_profile
from equimod.submission.status import PointStatus, point_statuses
from slurm.profile import Profile
from slurm.snapshot import verify
from slurm.state import State
from slurm.submission import SubmissionFolder


class ResumeError(ValueError):
    """A submission that cannot go on as it was asked to."""


@dataclass(frozen=True)
class Unfinished:
    """What remains to be done of a submission.

    Attributes:
        train: points whose training has not come to its end.
        evaluate: points that are trained, and not measured.
    """

    train: tuple[str, ...]
    evaluate: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.train or self.evaluate)


def unfinished(points: list[PointStatus]) -> Unfinished:
    """The points that nothing works on any more, and that are not done."""
    stopped = [point for point in points if not point.active and not point.done]
    trained = [p for p in stopped if TRAIN not in p.jobs or p.jobs[TRAIN].state is State.DONE]
    return Unfinished(
        train=tuple(point.name for point in stopped if point not in trained),
        evaluate=tuple(point.name for point in trained),
    )


def resume(root: Path, profile: Profile | None = None) -> Unfinished:
    """Submits what remains to be done.

    Args:
        root: of the submission.
        profile: where it runs from now on; as before if None.

    Returns:
        What was submitted: nothing if nothing remains.

    Raises:
        SubmissionError: nothing was submitted from `root`, or its record is damaged.
        ResumeError: the profile is of another kind.
        SnapshotError: the copy of the code is damaged.
        QueueError: Slurm is not there, or does not answer.
        LaunchError: the cluster refuses the jobs; then none of these stays in the queue.
    """
    folder = SubmissionFolder(root.absolute())
    submission = folder.read()
    remains = unfinished(point_statuses(folder.root))
    if not remains:
        return remains
    profile = load_profile(folder.profile) if profile is None else profile
    if profile.executor != submission.executor:
        message = f"was submitted with `executor: {submission.executor}`, and profile"
        raise ResumeError(f"{root} {message} {profile.name!r} has `{profile.executor}`")
    verify(folder.code, submission.code)
    launch(folder, submission, profile, remains.train, remains.evaluate)
    return remains
