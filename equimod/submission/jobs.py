"""What the jobs of a submission do; each can be called again and goes on where it stopped.

What they need is imported when they are called: whoever submits them needs none of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from augspec import SpecError
from equimod.exits import INTERRUPTED, MISTAKE
from equimod.records import DOCUMENT

TRAIN, EVALUATE = "train", "evaluate"
"""The kinds of job."""

PATIENCE = 120.0
"""Seconds to wait for a former start of the same job, which may still be dying on another node."""


@dataclass(frozen=True)
class Train:
    """Trains the run whose document is in a run folder.

    Attributes:
        root: the run folder.
    """

    root: Path

    def __call__(self) -> int:
        """See `slurm.task.Work`."""
        from equimod.config import load_run
        from equimod.training.commands import train_run

        try:
            run = load_run(self.root / DOCUMENT)
        except SpecError as error:
            print(error, file=sys.stderr)
            return MISTAKE
        return train_run(run, self.root, restart=False, measure=False, patience=PATIENCE)


@dataclass(frozen=True)
class Evaluate:
    """Measures the trained run of a run folder.

    Attributes:
        root: the run folder.
    """

    root: Path

    def __call__(self) -> int:
        """See `slurm.task.Work`."""
        from equimod.training.commands import evaluate_run

        return evaluate_run(self.root, (), patience=PATIENCE)


@dataclass(frozen=True)
class Series:
    """Works done one after the other, for a machine that does not queue jobs.

    Attributes:
        works: in order; the failure of one leaves out those that need it, and no others.
    """

    works: Sequence[Sequence[Callable[[], int]]]

    def __call__(self) -> int:
        """See `slurm.task.Work`."""
        worst = 0
        for chain in self.works:
            for work in chain:
                status = work()
                if status == INTERRUPTED:
                    return status
                worst = max(worst, status)
                if status:
                    break
        return worst
