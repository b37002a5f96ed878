"""Gradients are clipped as the formulas say, and as little as that."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from equimod.clipping import ClipConfig


def parameters() -> list[nn.Parameter]:
    """Gradients of norms 5, 13 and 0.1, and a parameter without one."""
    gradients = [[3.0, 4.0], [5.0, 12.0], [0.06, 0.08]]
    made = [nn.Parameter(torch.zeros(2, dtype=torch.float64)) for _ in range(4)]
    for parameter, gradient in zip(made, gradients, strict=False):
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    return made


def test_each_gradient_by_itself() -> None:
    clipped = parameters()
    ClipConfig(norm=3, of="each").clip(iter(clipped))
    norms = [p.grad.norm().item() for p in clipped if p.grad is not None]
    assert norms == pytest.approx([3, 3, 0.1], rel=1e-6)
    for p, before in zip(clipped, parameters(), strict=True):
        if before.grad is None:
            assert p.grad is None
        else:
            assert torch.cosine_similarity(p.grad, before.grad, dim=0) == pytest.approx(1)
    assert torch.equal(clipped[2].grad, parameters()[2].grad)


def test_all_gradients_together() -> None:
    clipped, factor = parameters(), 2 / (25 + 169 + 0.01) ** 0.5
    ClipConfig(norm=2).clip(clipped)
    for p, before in zip(clipped[:3], parameters(), strict=False):
        torch.testing.assert_close(p.grad, before.grad * factor, rtol=1e-6, atol=0)


def test_short_gradients_stay_bit_for_bit() -> None:
    clipped = parameters()
    ClipConfig(norm=14).clip(clipped[:2])
    ClipConfig(norm=13.1, of="each").clip(clipped)
    assert all(torch.equal(p.grad, q.grad) for p, q in zip(clipped[:3], parameters(), strict=False))
    ClipConfig(norm=1).clip(clipped[3:])
    assert clipped[3].grad is None
