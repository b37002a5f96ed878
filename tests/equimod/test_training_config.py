"""The learning rate of a step, as a run's `training` has it."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from equimod.optim import SGDConfig
from equimod.schedule import learning_rate
from equimod.training_config import TrainingConfig

EPOCH_STEPS = 4


def training(**fields: object) -> TrainingConfig:
    given = {"epochs": 5, "batch_size": 8, "optimizer": SGDConfig(lr=0.2), "final_lr": 0.01}
    return TrainingConfig.model_validate(given | fields)


def test_by_epoch_it_is_torchs_schedule_of_epochs() -> None:
    config = training(cosine_by="epoch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    schedule = CosineAnnealingLR(optimizer, 5, eta_min=0.01)
    for step in range(20):
        rate = optimizer.param_groups[0]["lr"]
        assert config.rate_at(step, EPOCH_STEPS) == pytest.approx(rate, rel=1e-9), step
        if step % EPOCH_STEPS == EPOCH_STEPS - 1:
            optimizer.step()
            schedule.step()
    assert config.rate_at(20, EPOCH_STEPS) == pytest.approx(0.01)


def test_without_epochs_a_warm_up_is_no_mistake() -> None:
    assert training(epochs=0, warmup_epochs=2).rate_at(0, EPOCH_STEPS) == 0.2


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0, 1.75, 5.0])
def test_by_step_it_is_the_plain_schedule_and_warm_up_goes_by_steps(warmup: float) -> None:
    by_step = training(warmup_epochs=warmup)
    by_epoch = training(warmup_epochs=warmup, cosine_by="epoch")
    steps = round(warmup * EPOCH_STEPS)
    for step in range(21):
        expected = learning_rate(step, 20, steps, 0.2, 0.01)
        assert by_step.rate_at(step, EPOCH_STEPS) == expected
        if step <= steps or step % EPOCH_STEPS == 0:
            assert by_epoch.rate_at(step, EPOCH_STEPS) == expected
        else:
            assert by_epoch.rate_at(step, EPOCH_STEPS) == by_epoch.rate_at(
                max(steps, step - step % EPOCH_STEPS), EPOCH_STEPS
            )
