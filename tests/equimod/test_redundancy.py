"""Barlow Twins' and VICReg's losses: written out in loops, in closed form, and elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from equimod.redundancy import NORM_EPS, STD_EPS, barlow_twins_loss, vicreg_loss

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES = {"barlow_twins": barlow_twins_loss, "vicreg": vicreg_loss}


def fixed(rows: int, columns: int, phase: float) -> Tensor:
    """Embeddings that any program can write down."""
    i = torch.arange(rows, dtype=torch.float64)[:, None]
    j = torch.arange(columns, dtype=torch.float64)
    return torch.sin(1.7 * i + 0.9 * j * j + phase) + 0.1 * j


def drawn(seed: int, rows: int = 7, columns: int = 3) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, rows, columns, generator=g, dtype=torch.float64) * 2 + 5
    return a, 0.5 * a + b


def independent(rows: int, columns: int) -> Tensor:
    """Embeddings whose columns are centred, uncorrelated and of variance 1 (over N)."""
    i = torch.arange(rows, dtype=torch.float64)
    waves = [torch.cos(2 * math.pi * k * (i + 0.5) / rows) for k in range(1, columns + 1)]
    return torch.stack(waves, dim=1) * math.sqrt(2)


def column(x: Tensor, j: int) -> list[float]:
    return x[:, j].tolist()


def covariance(x: list[float], y: list[float], over: int) -> float:
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((p - mean_x) * (q - mean_y) for p, q in zip(x, y, strict=True)) / over


@pytest.mark.parametrize("seed", range(3))
def test_barlow_twins_is_the_double_loop_over_columns(seed: int) -> None:
    a, b = drawn(seed)
    n, d = a.shape
    expected = 0.0
    for i in range(d):
        for j in range(d):
            x, y = column(a, i), column(b, j)
            scale = math.sqrt((covariance(x, x, n) + NORM_EPS) * (covariance(y, y, n) + NORM_EPS))
            c = covariance(x, y, n) / scale
            expected += (1 - c) ** 2 if i == j else 0.3 * c**2
    assert barlow_twins_loss(a, b, 0.3).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_vicreg_is_the_sum_of_its_three_terms(seed: int) -> None:
    a, b = drawn(seed)
    a, b = a / 3, b / 3  # some standard deviations below 1
    n, d = a.shape
    pairs = zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)
    apart = sum((p - q) ** 2 for p, q in pairs) / (n * d)
    lacking = shared = 0.0
    for z in (a, b):
        for i in range(d):
            deviation = math.sqrt(covariance(column(z, i), column(z, i), n - 1) + STD_EPS)
            lacking += max(0.0, 1 - deviation) / d / 2
            for j in set(range(d)) - {i}:
                shared += covariance(column(z, i), column(z, j), n - 1) ** 2 / d
    assert lacking > 0
    expected = 25 * apart + 25 * lacking + shared
    assert vicreg_loss(a, b).item() == pytest.approx(expected, rel=1e-12)
    expected = 2 * apart + 3 * lacking + 5 * shared
    assert vicreg_loss(a, b, 2, 3, 5).item() == pytest.approx(expected, rel=1e-12)


def test_the_values_are_lightlys() -> None:
    """Those of `BarlowTwinsLoss(lambda_param=0.0051)` and `VICRegLoss()` of lightly 1.6.0.

    In float64, of the same embeddings; neither differs from ours in any convention.
    """
    a, b = fixed(6, 4, 0.0), fixed(6, 4, 0.4)
    assert barlow_twins_loss(a, b).item() == pytest.approx(0.058292038609567866, rel=1e-12)
    assert vicreg_loss(a, b).item() == pytest.approx(9.199200361190433, rel=1e-12)
    assert vicreg_loss(a, b, 1, 0, 0).item() == pytest.approx(0.08144927027077747, rel=1e-12)
    low = vicreg_loss(0.3 * a, 0.3 * b, 0, 1, 0)
    assert low.item() == pytest.approx(0.7775777671567077, rel=1e-12)
    assert vicreg_loss(a, b, 0, 0, 1).item() == pytest.approx(0.6810323523703872, rel=1e-12)


def test_the_best_embeddings_give_nothing() -> None:
    x = independent(16, 5)
    assert barlow_twins_loss(x, x).item() == pytest.approx(0, abs=1e-9)
    spread = 2 * x  # above 1 counts no more
    assert vicreg_loss(spread, spread).item() == pytest.approx(0, abs=1e-9)


def test_collapsed_embeddings_give_known_values() -> None:
    constant = torch.full((6, 4), 3.0, dtype=torch.float64)
    assert barlow_twins_loss(constant, constant).item() == pytest.approx(4)
    assert vicreg_loss(constant, constant).item() == pytest.approx(25 * (1 - math.sqrt(STD_EPS)))
    # every column the same: all correlations are 1
    x = independent(8, 1).expand(8, 4)
    assert barlow_twins_loss(x, x, 0.5).item() == pytest.approx(0.5 * 12, rel=1e-4)
    n = 8 / 7  # the variance of such a column, over N - 1
    assert vicreg_loss(x, x).item() == pytest.approx(2 * 3 * n**2, rel=1e-9)  # of both views
    # opposite views: correlation -1 on the diagonal
    x = independent(8, 3)
    assert barlow_twins_loss(x, -x).item() == pytest.approx(4 * 3, rel=1e-4)
    assert vicreg_loss(2 * x, -2 * x).item() == pytest.approx(25 * 16)


def test_what_leaves_the_losses_alone() -> None:
    a, b = drawn(0, rows=9, columns=4)
    shift = torch.arange(4, dtype=torch.float64) - 7
    gain = torch.tensor([0.5, 2, 3, 4], dtype=torch.float64)
    order = torch.tensor([2, 0, 3, 1])
    images = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    barlow = barlow_twins_loss(a, b).item()
    for x, y in (
        (b, a),
        (a[images], b[images]),
        (a[:, order], b[:, order]),
        (100 * gain * a + shift, 100 * b / gain - shift),
    ):
        assert barlow_twins_loss(x, y).item() == pytest.approx(barlow, abs=1e-4)
    reg = vicreg_loss(a, b).item()
    for x, y in ((b, a), (a[images], b[images]), (a[:, order], b[:, order]), (a + 3, b + 3)):
        assert vicreg_loss(x, y).item() == pytest.approx(reg, rel=1e-12)
    assert vicreg_loss(2 * a, 2 * b).item() != pytest.approx(reg, rel=1e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name: str) -> None:
    loss: Loss = LOSSES[name]
    x = [0.4 * z.clone() for z in drawn(3, rows=5, columns=3)]
    assert gradcheck(loss, [z.requires_grad_() for z in x])


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_keeps_single_precision(name: str) -> None:
    loss: Loss = LOSSES[name]
    a, b = (z.float() for z in drawn(4, rows=32, columns=8))
    expected = loss(a, b)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(a, b), expected)
    low = loss(a.bfloat16(), b.bfloat16())
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(loss(a.bfloat16().float(), b.bfloat16().float()).item())


@pytest.mark.parametrize("name", LOSSES)
def test_embeddings_of_other_shapes_are_refused(name: str) -> None:
    loss: Loss = LOSSES[name]
    with pytest.raises(ValueError, match=r"one shape \(N, D\), not \(4, 3\) and \(4, 2\)"):
        loss(torch.rand(4, 3), torch.rand(4, 2))
