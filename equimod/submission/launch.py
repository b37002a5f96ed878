"""Starting the jobs of points whose folders are ready. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from equimod.submission.jobs import EVALUATE, TRAIN, Evaluate, Series, Train
from slurm.commands import cancel
from slurm.launcher import Launcher
from slurm.local import submit_local
from slurm.profile import Profile
from slurm.submission import Job, Submission, SubmissionFolder
from slurm.task import Task, Work


def launch(
    folder: SubmissionFolder,
    submission: Submission,
    profile: Profile,
    train: Sequence[str],
    evaluate: Sequence[str] = (),
) -> Submission:
    """Starts the jobs of points whose folders are ready, and records their ids.

    Args:
        folder: of the submission.
        submission: its record so far.
        profile: where the jobs run.
        train: the points that are trained, and then evaluated.
        evaluate: those that are only evaluated.

    Raises:
        LaunchError: the cluster refuses; of these jobs, none stays in the queue.
    """
    points = [*train, *evaluate]
    expected = [Job(point, TRAIN) for point in train] + [Job(point, EVALUATE) for point in points]
    # before the first job is there: a crash from here on leaves a token to find the jobs by
    folder.write(submission.adding(expected))
    if profile.executor == "slurm":
        ids = _launch_on_cluster(folder, submission, profile, train, evaluate)
    else:
        ids = [_launch_here(folder, submission, profile, train, evaluate)] * len(expected)
    done = submission.adding(replace(job, id=i) for job, i in zip(expected, ids, strict=True))
    folder.write(done)
    return done


def _launch_on_cluster(
    folder: SubmissionFolder,
    submission: Submission,
    profile: Profile,
    train: Sequence[str],
    evaluate: Sequence[str],
) -> list[str]:
    trainer, evaluator = launchers(profile, folder, submission.token)
    name, found = submission.name, []

    def tasks(points: Sequence[str], work: type[Train] | type[Evaluate]) -> list[Task]:
        return [_task(folder, work(folder.root / point)) for point in points]

    try:
        if train:
            found += trainer.submit(name, tasks(train, Train))
            trained = list(found)
            found += evaluator.submit(f"{name}-{EVALUATE}", tasks(train, Evaluate), trained)
        if evaluate:
            found += evaluator.submit(f"{name}-{EVALUATE}", tasks(evaluate, Evaluate))
    except (Exception, KeyboardInterrupt):
        cancel(found)
        raise
    return found


def _launch_here(
    folder: SubmissionFolder,
    submission: Submission,
    profile: Profile,
    train: Sequence[str],
    evaluate: Sequence[str],
) -> str:
    """One job for all points: a machine without a queue does them one after the other."""
    chains: list[tuple[Work, ...]] = []
    for point in train:
        root = folder.root / point
        chains.append((Train(root), Evaluate(root)))
    chains += [(Evaluate(folder.root / point),) for point in evaluate]
    task = _task(folder, Series(chains))
    return submit_local(task, profile, folder.logs, folder.code)


def _task(folder: SubmissionFolder, work: Work) -> Task:
    return Task(work, folder.records, Path.cwd())


def launchers(profile: Profile, folder: SubmissionFolder, token: str) -> tuple[Launcher, Launcher]:
    """What submits the training of points, and what submits their evaluation."""
    settings = (folder.logs, folder.records, folder.code, token)
    return Launcher(profile, *settings), Launcher(profile.for_evaluation(), *settings)
