"""MoCo v3: its loss written out, its keys, its target network and its heads."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from equimod.encoders import Encoder
from equimod.losses import info_nce
from equimod.ssl import MoCoV3, MoCoV3Config


def looped(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    losses = []
    for n, q in enumerate(queries):
        cosines = torch.stack([(q @ k) / (q.norm() * k.norm()) for k in keys])
        exponentials = (cosines / temperature).exp()
        losses.append(-(exponentials[n] / exponentials.sum()).log())
    return torch.stack(losses).mean()


def drawn(count: int, n: int = 5, dim: int = 3, seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(n, dim, generator=g, dtype=torch.float64) for _ in range(count)]


def method(**options: object) -> tuple[MoCoV3, nn.Module]:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 8)).double()
    return MoCoV3(encoder, 8, **{"hidden": 16, "dim": 4, **options}).double(), encoder


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_info_nce_is_the_loop_over_queries_and_keys(temperature: float) -> None:
    q, k = drawn(2)
    expected = looped(q, k, temperature)
    assert info_nce(q, k, temperature).item() == pytest.approx(expected.item(), rel=1e-12)
    assert info_nce(7 * q, k / 3, temperature).item() == pytest.approx(expected.item(), rel=1e-12)


def test_info_nce_has_closed_forms() -> None:
    x = torch.eye(4, dtype=torch.float64)
    for tau in (0.2, 1.0):
        best = math.log(
            1 + 3 * math.exp(-1 / tau)
        )  # each finds its key among three at right angles
        assert info_nce(x, x, tau).item() == pytest.approx(best, rel=1e-12)
        same = torch.ones(4, 3, dtype=torch.float64)
        assert info_nce(same, same, tau).item() == pytest.approx(math.log(4), rel=1e-12)
    with pytest.raises(ValueError, match="must share one shape"):
        info_nce(x, x[:3], 0.2)
    with pytest.raises(ValueError, match="temperature must be above 0, not 0"):
        info_nce(x, x, 0)


def test_gradients() -> None:
    q, k = (x.requires_grad_() for x in drawn(2))
    assert gradcheck(lambda a, b: info_nce(a, b, 0.5), (q, k))


def test_the_loss_is_symmetric_and_two_tau_times_both_directions() -> None:
    moco, encoder = method(temperature=0.3)
    moco.eval()
    with torch.no_grad():
        for p in moco.target.parameters():  # away from the online network
            p.add_(0.1 * torch.randn(p.shape))
    images = [x.reshape(6, 3, 2, 2) for x in drawn(2, n=6, dim=12)]
    q = [moco.predictor(moco.projector(encoder(x))) for x in images]
    k = [moco.target(x) for x in images]
    expected = 2 * 0.3 * (looped(q[0], k[1], 0.3) + looped(q[1], k[0], 0.3))
    h = [encoder(x) for x in images]
    assert moco(images, h).item() == pytest.approx(expected.item(), rel=1e-9)
    assert moco(images[::-1], h[::-1]).item() == pytest.approx(expected.item(), rel=1e-9)


def test_keys_get_no_gradient() -> None:
    moco, encoder = method()
    images = [x.reshape(6, 3, 2, 2).requires_grad_() for x in drawn(2, n=6, dim=12)]
    moco(images, [encoder(x).detach() for x in images]).backward()
    assert all(x.grad is None for x in images)
    assert all(p.grad is None for p in moco.target.parameters())
    assert all(p.grad is not None for p in moco.predictor.parameters())


def test_the_target_follows_with_the_published_momentum() -> None:
    moco, encoder = method(ema_start=0.99)
    online = [*encoder.parameters(), *moco.projector.parameters()]
    before = [p.clone() for p in moco.target.parameters()]
    with torch.no_grad():
        for p in online:
            p.add_(1.0)
    moco.after_step(0.25)
    m = 1 - 0.5 * (1 + math.cos(math.pi * 0.25)) * (1 - 0.99)  # as in the authors' main_moco.py
    for a, b, o in zip(before, moco.target.parameters(), online, strict=True):
        torch.testing.assert_close(b, m * a + (1 - m) * o, rtol=1e-9, atol=1e-9)


def test_the_heads_have_the_published_widths() -> None:
    encoder = Encoder(nn.Identity(), 8)
    moco = MoCoV3Config().build(encoder)
    shapes = [tuple(p.shape) for p in moco.projector.parameters() if p.ndim > 1]
    assert shapes == [(4096, 8), (256, 4096)]
    assert not moco.projector[-1].affine
    shapes = [tuple(p.shape) for p in moco.predictor.parameters() if p.ndim > 1]
    assert shapes == [(4096, 256), (256, 4096)]
    assert moco.predictor[-1].bias is None
    vit = MoCoV3Config(layers=3, hidden=16, dim=4).build(encoder)
    assert [tuple(p.shape) for p in vit.projector.parameters() if p.ndim > 1] == [
        (16, 8),
        (16, 16),
        (4, 16),
    ]
