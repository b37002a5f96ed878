"""Training inside the test's process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from equimod.config import Run, RunConfig
from equimod.data import ImageData
from equimod.training.devices import make_fabric
from equimod.training.interrupt import StopFlag
from equimod.training.trainer import Progress, Trainer

sys.path.insert(0, str(Path(__file__).parent))  # for `equimod_command`

MakeTrainer = Callable[..., Trainer]


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread: None) -> None:
    """In every test of training."""


@pytest.fixture(scope="session")
def make_trainer() -> MakeTrainer:
    """Builds a trainer of one arm of a run, the only one unless named."""

    def build(
        run: Run,
        folder: Path,
        arm: str | None = None,
        *,
        stop: StopFlag | None = None,
        progress: Progress | None = None,
    ) -> Trainer:
        config: RunConfig = run.arms[arm] if arm else run.shared
        data: ImageData = config.data.build("train", run.base)
        fabric = make_fabric(config)
        fabric.launch()
        flag = StopFlag() if stop is None else stop
        return Trainer(config, run.spec, data, folder, fabric, flag, progress=progress)

    return build
