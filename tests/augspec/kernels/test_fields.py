"""Random fields: reproducible, independent of the batch, and of the stated distribution."""

from __future__ import annotations

import torch
from scipy import stats

from augspec.kernels.fields import normal_field, uniform_field


def test_a_seed_replays_its_field_whatever_the_batch() -> None:
    seed = torch.tensor([0.0, 7.0, 2.0**32 - 1], dtype=torch.float64)
    field = uniform_field(seed, (3, 5, 7), "noise")
    assert field.shape == (3, 3, 5, 7)
    assert ((field > 0) & (field < 1)).all()
    assert torch.equal(uniform_field(seed[1:2], (3, 5, 7), "noise")[0], field[1])
    assert torch.equal(uniform_field(seed.long(), (3, 5, 7), "noise"), field)
    assert (uniform_field(seed, (3, 5, 7), "other") != field).all()
    assert len(field.unique()) == field.numel()


def test_the_fields_are_uniform_and_normal_and_uncorrelated_with_neighbours() -> None:
    seed = torch.arange(8)
    uniform, normal = uniform_field(seed, (50, 50), "a"), normal_field(seed, (50, 50), "b")
    assert stats.kstest(uniform.flatten().numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 1e-3
    for other in (normal.roll(1, -1), normal.roll(1, -2), normal.roll(1, 0)):
        assert (normal * other).mean().abs() < 0.03
