"""Training inside the test's process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from equimod.config import Run, RunConfig
from equimod.data import ImageData
from equimod.records import METRICS, read_metrics
from equimod.training.devices import make_fabric
from equimod.training.interrupt import InterruptedRunError, StopFlag
from equimod.training.trainer import Progress, Trainer

sys.path.insert(0, str(Path(__file__).parent))  # for `equimod_command`

MakeTrainer = Callable[..., Trainer]
TrainedWithAStop = Callable[[Run, int], tuple[dict[str, Tensor], dict[str, Tensor]]]


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


@pytest.fixture
def trained_with_a_stop(make_trainer: MakeTrainer, tmp_path: Path) -> TrainedWithAStop:
    """Trains a run in one go and with an interruption, which must give the same, bit for bit.

    Returns the parameters of the beginning, and the state at the end.
    """

    def train(run: Run, steps: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        whole = make_trainer(run, tmp_path / "whole")
        before = {key: p.detach().clone() for key, p in whole.learner.named_parameters()}
        expected = _state(whole)
        assert whole.step == steps
        stop = StopFlag()

        def progress(step: int, *_: object) -> None:
            stop.signal = 15 if step == 3 else None

        with pytest.raises(InterruptedRunError):
            make_trainer(run, tmp_path / "parts", stop=stop, progress=progress).run()
        found = _state(make_trainer(run, tmp_path / "parts"))
        assert found.keys() == expected.keys()
        for key, tensor in expected.items():
            assert torch.equal(found[key], tensor), key
        records = [read_metrics(tmp_path / part / METRICS) for part in ("whole", "parts")]
        assert records[0] == records[1]
        return before, expected

    return train


def _state(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.run().state_dict().items()}
