"""The command line: `equimod train`, `eval` and `check`, and the commands for jobs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

import augspec
from equimod import __version__
from equimod.exits import INTERRUPTED, MISTAKE
from equimod.published import specs
from equimod.submission.cli import register

app = App(
    name="equimod",
    help="Equivariant self-supervised learning.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # `main` says what happened
)

Overrides = Annotated[
    list[str] | None,
    Parameter(name="--set", consume_multiple=False, negative=""),
]


@app.command
def train(
    run: Path | None = None,
    *,
    set_: Overrides = None,
    out: Path | None = None,
    restart: bool = False,
) -> int:
    """Train and measure a run; without arguments, the quickstart on the built-in data.

    The results go to `runs/<name>`. Interrupted (Ctrl-C), it writes a checkpoint, and the same
    command goes on from there; finished, it only measures again.

    Args:
        run: the run document, such as `specs/runs/cifar10-cpu.yaml`.
        set_: an assignment such as `training.epochs=5`; may be repeated.
        out: the folder for the results.
        restart: delete what an earlier run of this name trained.
    """
    from equimod.config import load_run
    from equimod.training.commands import train_run

    loaded = load_run(run if run is not None else specs() / "runs" / "quickstart.yaml", set_ or [])
    return train_run(loaded, out if out is not None else Path("runs") / loaded.name, restart)


@app.command(name="eval")
def evaluate(
    run: Path,
    *,
    augmentations: Path | None = None,
    checkpoint: str = "last",
    set_: Overrides = None,
) -> int:
    """Measure a trained run again and rewrite its results.

    Args:
        run: the run's folder, such as `runs/quickstart`.
        augmentations: measure on the views of this spec instead. A head reads its codes by the
            names of their slots, if it was trained on all of them; the results go to
            `<run>/with-<file name>`.
        checkpoint: which checkpoint: `last`, `best`, or such as `epoch-00020`. The results of
            another than the last go to `<run>/with-<checkpoint>`.
        set_: an assignment such as `evaluation.linear.epochs=30`; may be repeated. Only what is
            measured can be changed, and where the data lie.
    """
    from equimod.training.commands import evaluate_run

    return evaluate_run(run, set_ or [], augmentations, checkpoint=checkpoint)


@app.command
def check(
    runs: Annotated[list[Path], Parameter(negative="")],
    *,
    set_: Overrides = None,
    images: int | None = None,
    gpu_memory: float | None = None,
) -> int:
    """Check runs without their data and without a GPU, and show sizes, schedule and memory.

    Every arm is built, a few random images go through its augmentations, and it takes a step: in
    earnest where that lasts seconds, otherwise on tensors that have shapes and no data.

    Args:
        runs: run documents, such as `specs/runs/simclr-imagenet.yaml`.
        set_: an assignment such as `training.devices=8`, for all of them; may be repeated.
        images: how many images the train split has, where that cannot be known without it.
        gpu_memory: GiB of a GPU; an arm that needs more is warned of.
    """
    from equimod.config import load_run
    from equimod.training.commands import check_runs

    loaded = [load_run(run, set_ or []) for run in runs]
    return check_runs(loaded, images, gpu_memory)


register(app)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; a user's mistake ends it with status 2 and no traceback."""
    try:
        status = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        status = MISTAKE  # cyclopts has printed what is wrong
    except augspec.SpecError as error:
        print(error, file=sys.stderr)
        status = MISTAKE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    sys.exit(status or 0)
