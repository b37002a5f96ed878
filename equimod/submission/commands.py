"""What the command line does to submit a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from equimod.config import load_run
from equimod.exits import mistake
from equimod.submission.jobs import Evaluate, Series, Train
from equimod.submission.points import PointsError, expand
from equimod.submission.profiles import UnknownProfileError, load_profile
from equimod.submission.submit import Request, SubmitError, plans, submit, write_documents
from equimod.training.folder import resolved, to_yaml
from slurm.commands import LaunchError
from slurm.snapshot import SnapshotError

MENDABLE = (
    SubmitError,
    LaunchError,
    PointsError,
    SnapshotError,
    UnknownProfileError,
    OSError,
)
"""What is no bug, but for the user to mend."""


def submit_run(
    path: Path,
    *,
    profile: str,
    profile_overrides: Sequence[str],
    overrides: Sequence[str],
    seeds: str | None,
    sweeps: Sequence[str],
    out: Path | None,
    dry_run: bool,
) -> int:
    """Submits a run, or shows what would be submitted; see `equimod submit`.

    Returns:
        The exit status: 0, or 2 for a user's mistake.

    Raises:
        SpecError: a document or an assignment has mistakes.
    """
    console = Console()
    try:
        points = expand(seeds, sweeps)
        name = load_run(path, [*overrides, *points[0].overrides]).name
        root = out if out is not None else Path("runs") / name
        where = load_profile(profile, profile_overrides)
        request = Request(path, tuple(overrides), points, where, root)
        if dry_run:
            _show(request, console)
            return 0
        if where.executor == "debug":
            return _in_this_process(request)
        done = submit(request)
    except MENDABLE as error:
        return mistake(error)
    ids = ", ".join(dict.fromkeys(job.id.partition("_")[0] for job in done.jobs if job.id))
    count = f"{len(points)} points" if len(points) > 1 else "one run"
    console.print(f"submitted {count} to {where.name}: jobs {ids}", markup=False, highlight=False)
    console.print(f"equimod status {root} --watch", style="bold", markup=False, highlight=False)
    return 0


def _show(request: Request, console: Console) -> None:
    """Prints what would be submitted, and what the cluster says to it."""
    runs = request.runs()
    for plan in plans(request):
        console.rule(f"{plan.kind}: sbatch script", align="left")
        console.print(Text(plan.script), soft_wrap=True)
        verdict = "take it" if plan.accepted else "refuse it"
        console.print(f"the cluster would {verdict}: {plan.said}", markup=False, soft_wrap=True)
    point, run = runs[0]
    title = f"the run of {point.name}, one of {len(runs)}" if point.name else "the run"
    console.rule(title, align="left")
    console.print(Text(to_yaml(resolved(run))), soft_wrap=True)
    for other, _ in runs[1:]:
        console.print(f"also {other.name}", markup=False, highlight=False)
    console.print(f"results would go to {request.root}; nothing was submitted", markup=False)


def _in_this_process(request: Request) -> int:
    """Trains and measures all points here and now, for debugging."""
    folders = write_documents(request.root, request.runs())
    return Series([(Train(folder), Evaluate(folder)) for folder in folders])()
