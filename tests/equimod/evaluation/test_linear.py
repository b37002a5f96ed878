from __future__ import annotations

import time

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from equimod.evaluation.linear import (
    LinearConfig,
    linear_accuracies,
    linear_accuracy,
    standardized,
)

CONFIG_AS_PUBLISHED = LinearConfig(epochs=10)


def problem(seed: int, samples: int, features: int = 16) -> tuple[Tensor, Tensor]:
    """Four noisy, linearly separated classes."""
    weights = torch.randn(features, 4, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator)
    noise = 2.0 * torch.randn(samples, 4, generator=generator)
    return x, (x @ weights + noise).argmax(dim=1)


def test_reaches_the_optimum_of_logistic_regression() -> None:
    (train_x, train_y), (test_x, test_y) = problem(0, 1000), problem(1, 1000)
    reference = LogisticRegression(C=1e6).fit(train_x.numpy(), train_y.numpy())
    expected = 100 * reference.score(test_x.numpy(), test_y.numpy())
    result = linear_accuracy(train_x, train_y, test_x, test_y, LinearConfig(), seed=0)
    assert 60 < expected < 90
    assert result.test_accuracy == pytest.approx(expected, abs=1.0)
    assert result.train_accuracy == pytest.approx(
        100 * reference.score(train_x.numpy(), train_y.numpy()), abs=1.0
    )
    assert (result.train_samples, result.test_samples) == (1000, 1000)
    assert len(result.losses) == 90 and result.losses[-1] < 0.8 * result.losses[0]


def test_first_loss_is_that_of_zero_weights() -> None:
    x, y = problem(0, 64)
    config = LinearConfig(epochs=1, batch_size=64)
    result = linear_accuracy(x, y, x, y, config, seed=0)
    assert result.losses[0] == pytest.approx(torch.tensor(4.0).log().item(), abs=1e-6)


def test_one_step_by_hand() -> None:
    # zero weights give p = 1/2; the gradient of the weights is (p - onehot) x^T, and Nesterov's
    # first step is lr (1 + momentum) times that: w[0] - w[1] grows by 2 * 0.2 * 1.9 * x / 2
    x, y = torch.tensor([[3.0], [-3.0]]), torch.tensor([0, 1])
    two = LinearConfig(epochs=2, batch_size=2)
    result = linear_accuracy(x, y, x, y, two, seed=0)
    margin = torch.tensor(0.2 * 1.9 * 3.0 * 3.0)
    assert result.losses[1] == pytest.approx(torch.nn.functional.softplus(-margin).item(), rel=1e-5)


def test_same_seed_same_numbers_and_no_global_generator() -> None:
    x, y = problem(0, 500)
    config = LinearConfig(epochs=5)
    torch.manual_seed(1)
    first = linear_accuracy(x, y, x, y, config, seed=3)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert linear_accuracy(x, y, x, y, config, seed=3) == first
    assert linear_accuracy(x, y, x, y, config, seed=4).losses != first.losses
    torch.manual_seed(1)
    linear_accuracy(x, y, x, y, config, seed=3)
    assert torch.equal(torch.get_rng_state(), state)


def test_each_kind_of_label_is_trained_on_its_own() -> None:
    x, y = problem(0, 400)
    partly = torch.where(torch.arange(400) < 100, y % 2, -1)
    labels = torch.stack([y, partly], dim=1)
    config = LinearConfig(epochs=5)
    both = linear_accuracies((x, labels), (x, labels), ["four", "two"], config, seed=0)
    assert both["four"] == linear_accuracy(x, y, x, y, config, seed=0)
    assert both["two"] == linear_accuracy(
        x[:100], y[:100] % 2, x[:100], y[:100] % 2, config, seed=0
    )
    assert both["two"].train_samples == 100


def test_classes_need_not_be_consecutive() -> None:
    x, y = problem(0, 400)
    config = LinearConfig(epochs=5)
    renamed = torch.tensor([3, 40, 500, 6000])[y]
    assert linear_accuracy(x, renamed, x, renamed, config, seed=0) == linear_accuracy(
        x, y, x, y, config, seed=0
    )


def test_standardizing_undoes_scale_and_shift() -> None:
    (train_x, train_y), (test_x, test_y) = problem(0, 500), problem(1, 200)
    config = LinearConfig(epochs=10, standardize=True)
    plain = linear_accuracy(train_x, train_y, test_x, test_y, config, seed=0)
    moved = linear_accuracy(1e-3 * train_x + 5, train_y, 1e-3 * test_x + 5, test_y, config, seed=0)
    assert moved.test_accuracy == pytest.approx(plain.test_accuracy, abs=1.0)
    small = linear_accuracy(
        1e-3 * train_x, train_y, 1e-3 * test_x, test_y, CONFIG_AS_PUBLISHED, seed=0
    )
    assert (
        small.losses[-1] > 1.3
    )  # log 4 is 1.386: hardly trained, which is why there is the choice
    assert moved.losses[-1] < 1
    constant = torch.full((4, 1), 7.0)
    assert torch.equal(standardized(constant, constant), torch.zeros(4, 1))


@pytest.mark.parametrize(
    ("train_y", "test_y", "message"),
    [
        (torch.full((8,), -1), torch.zeros(8).long(), "training split: none of the 8 samples"),
        (torch.zeros(8).long(), torch.full((8,), -1), "test split: none of the 8 samples"),
        (torch.full((8,), 2), torch.full((8,), 2), "all 8 labelled samples have class 2; at least"),
    ],
)
def test_missing_classes_are_refused(train_y: Tensor, test_y: Tensor, message: str) -> None:
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=message):
        linear_accuracy(x, train_y, x, test_y, LinearConfig(), seed=0)


def test_is_fast_enough_for_a_laptop() -> None:
    x, y = problem(0, 4096, 256)
    began = time.perf_counter()
    linear_accuracy(x, y, x, y, LinearConfig(epochs=30), seed=0)
    assert time.perf_counter() - began < 15  # under 3 s on an idle core; room for a busy one
