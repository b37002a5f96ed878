"""RankMe and spread on matrices whose rank and spread are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from equimod.evaluation.collapse import collapse_metrics, mean_deviation, rankme


def rotation(n: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(n, n, generator=g, dtype=torch.float64)).Q


def matrix(*values: float, rows: int = 40, columns: int = 12) -> Tensor:
    """A matrix of these singular values, in directions that mean nothing."""
    middle = torch.zeros(rows, columns, dtype=torch.float64)
    middle[range(len(values)), range(len(values))] = torch.tensor(values).double()
    return rotation(rows, 0) @ middle @ rotation(columns, 1)


@pytest.mark.parametrize("k", [1, 2, 7, 12])
def test_k_equal_directions_have_rank_k(k: int) -> None:
    assert rankme(matrix(*[3.0] * k)) == pytest.approx(k, rel=2e-4)
    assert rankme(matrix(*[3.0] * k).T) == pytest.approx(k, rel=2e-4)


def test_it_is_the_exponential_of_the_entropy_of_the_singular_values() -> None:
    values = [4.0, 2.0, 1.0, 1.0]
    shares = [v / 8 + 1e-7 for v in values] + [1e-7] * 8
    entropy = -sum(p * math.log(p) for p in shares)
    assert rankme(matrix(*values)) == pytest.approx(math.exp(entropy), rel=1e-9)
    assert math.exp(entropy) == pytest.approx(2**1.75, rel=1e-4)  # 1.75 bits
    for scale in (1e-12, 1e12):
        assert rankme(scale * matrix(*values)) == pytest.approx(math.exp(entropy), rel=1e-9)


def test_a_small_direction_adds_little_and_equal_rows_have_rank_1() -> None:
    assert 1 < rankme(matrix(1.0, 1e-3)) < 1.01
    assert rankme(torch.ones(5, 3)) == pytest.approx(1, rel=1e-4)
    assert rankme(torch.zeros(5, 3)) == 0


def test_the_mean_of_the_columns_deviations() -> None:
    x = torch.tensor([[1.0, 0.0, 5.0], [3.0, 0.0, -5.0]])
    assert mean_deviation(x) == pytest.approx((1 + 0 + 5) / 3)
    assert mean_deviation(x + 100) == pytest.approx(2)
    assert mean_deviation(torch.full((4, 2), 0.1)) == 0


def test_the_names_and_what_is_refused() -> None:
    x = torch.randn(6, 4)
    names = ["monitor/features_rankme", "monitor/features_std"]
    assert list(collapse_metrics(x)) == names
    both = collapse_metrics(x, 2 * x)
    assert both["monitor/embeddings_std"] == pytest.approx(2 * both["monitor/features_std"])
    assert both["monitor/embeddings_rankme"] == pytest.approx(both["monitor/features_rankme"])
    assert list(collapse_metrics(x, x / 0, math.nan)) == names  # a head that has diverged
    assert collapse_metrics(x, x, -0.25) == collapse_metrics(x, x) | {
        "monitor/shuffled_gain": -0.25
    }
    for wrong in (torch.zeros(3), torch.zeros(0, 3)):
        with pytest.raises(ValueError, match="expected"):
            rankme(wrong)
        with pytest.raises(ValueError, match="expected"):
            mean_deviation(wrong)
