"""The commands for jobs: `equimod submit`, `status`, `logs`, `cancel`, `resume`, `collect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from equimod.exits import mistake

Many = Parameter(consume_multiple=False, negative="")


def submit(
    run: Path,
    *,
    profile: str,
    set_: Annotated[list[str] | None, Parameter(name="--set"), Many] = None,
    seeds: str | None = None,
    sweep: Annotated[list[str] | None, Many] = None,
    out: Path | None = None,
    profile_set: Annotated[list[str] | None, Many] = None,
    dry_run: bool = False,
) -> int:
    """Train and measure a run in jobs: on a SLURM cluster, or in the background of this machine.

    The results go to `runs/<name>`; with seeds or a sweep, each point has a folder there. The code
    and the settings are copied, so that later edits change nothing of what is queued. Each point
    is trained in one job and measured in a second one that waits for it.

    Args:
        run: the run document, such as `specs/runs/cifar10-cpu.yaml`.
        profile: where it runs: the name of a profile, or the path of one.
        set_: an assignment such as `training.epochs=5`; may be repeated.
        seeds: one point for each seed: `0-4`, or `0,3,7`.
        sweep: one point for each value: `training.epochs=5,10,20`; may be repeated, for all
            combinations.
        out: the folder for the results.
        profile_set: an assignment inside the profile, such as `time=2:00:00`; may be repeated.
        dry_run: print the batch scripts and the resolved run, and submit nothing.
    """
    from equimod.submission.commands import submit_run

    return submit_run(
        run,
        profile=profile,
        profile_overrides=profile_set or [],
        overrides=set_ or [],
        seeds=seeds,
        sweeps=sweep or [],
        out=out,
        dry_run=dry_run,
    )


def status(root: Path, *, watch: bool = False) -> int:
    """Show what the jobs of a submission do, and how far they are.

    Args:
        root: the folder that it was submitted to, such as `runs/simclr-cifar10`.
        watch: go on showing it, until all is done.
    """
    from equimod.submission.watch import show_status

    return show_status(root, watch=watch)


def logs(
    root: Path,
    point: str | None = None,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
    lines: Annotated[int, Parameter(name=["--lines", "-n"])] = 20,
) -> int:
    """Show what the jobs of a submission have printed.

    Args:
        root: the folder that it was submitted to.
        point: one point, such as `seed=0`; all of them if left out.
        follow: go on with what is printed from now on, until all is done or Ctrl-C.
        lines: of each log that is already there.
    """
    from equimod.submission.watch import show_logs

    return show_logs(root, point, follow=follow, lines=lines)


def cancel(root: Path, *points: str) -> int:
    """Cancel the jobs of a submission; what they have done stays, and `resume` goes on from it.

    Args:
        root: the folder that it was submitted to.
        points: some points only, such as `seed=0`.
    """
    from equimod.submission.watch import cancel_jobs

    return cancel_jobs(root, points)


def resume(
    root: Path,
    *,
    profile: str | None = None,
    profile_set: Annotated[list[str] | None, Many] = None,
) -> int:
    """Submit what remains to be done: after a failure, a cancellation, a time limit.

    Args:
        root: the folder that it was submitted to.
        profile: where it runs from now on; as before if left out.
        profile_set: an assignment inside the profile, such as `time=40:00:00`; may be repeated.
    """
    from equimod.submission.watch import resume_jobs

    return resume_jobs(root, profile, profile_set or [])


def collect(
    *roots: Path, out: Path | None = None, base: str | None = None, report: Path | None = None
) -> int:
    """Put the results of all seeds and sweep points into one table: mean, spread, 95 % interval.

    It is printed and written as `collected.md`, `.csv`, `.json` and `.png`. The exit status is 1
    if points are missing.

    Args:
        roots: folders of submissions, or of single runs.
        out: the folder for the files; the first of `roots` if left out.
        base: the arm that the others are compared with, seed by seed.
        report: also write a page to be published, such as `docs/results.md`, with its picture
            beside it: the tables, what the arms are, the machine, the versions and the commands.
    """
    from equimod.submission.collect import collect_runs

    if not roots:
        return mistake("name at least one folder, such as runs/simclr-cifar10")
    return collect_runs(roots, out, base, report)


def register(app: App) -> None:
    """Adds the commands to a command line."""
    for command in (submit, status, logs, cancel, resume, collect):
        app.command(command)
