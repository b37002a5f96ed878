"""Jobs on a real Slurm cluster, on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.commands import cancel

# jobs and tests find what they share by the names of its modules, `slurm_works` and `slurm_jobs`
sys.path.insert(0, str(Path(__file__).parent))

from slurm_jobs import Jobs


@pytest.fixture
def jobs(cluster: None, tmp_path: Path) -> Iterator[Jobs]:
    """Submits jobs; what is left of them is cancelled afterwards."""
    made = Jobs(tmp_path)
    yield made
    cancel(made.ids)
