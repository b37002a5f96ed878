"""Barlow Twins, VICReg and SimSiam: what their losses are computed from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from equimod.encoders import Encoder
from equimod.heads import mlp
from equimod.redundancy import barlow_twins_loss, vicreg_loss
from equimod.ssl import (
    BarlowTwins,
    BarlowTwinsConfig,
    SimSiam,
    SimSiamConfig,
    VICReg,
    VICRegConfig,
)


def features(seed: int, n: int = 12) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(n, 8, generator=g, dtype=torch.float64) for _ in range(2)]


def widths(module: torch.nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in module if isinstance(m, torch.nn.Linear)]


def test_barlow_twins_scales_the_loss_of_the_projections() -> None:
    torch.manual_seed(0)
    method = BarlowTwins(8, hidden=16, dim=4, redundancy=0.1, scale=0.5).double()
    h1, h2 = features(0)
    expected = barlow_twins_loss(method.projector(h1), method.projector(h2), 0.1)
    assert method([], [h1, h2]).item() == pytest.approx(0.5 * expected.item(), rel=1e-12)


def test_vicreg_is_the_loss_of_the_projections() -> None:
    torch.manual_seed(0)
    method = VICReg(8, hidden=16, dim=4, invariance=2, variance=3, covariance=5).double()
    h1, h2 = features(0)
    expected = vicreg_loss(method.projector(h1), method.projector(h2), 2, 3, 5)
    assert method([], [h1, h2]).item() == pytest.approx(expected.item(), rel=1e-12)


def test_simsiam_is_the_loop_over_cosines_and_stops_the_targets_gradient() -> None:
    torch.manual_seed(0)
    method = SimSiam(8, dim=6, hidden=3).double()
    h = [x.requires_grad_() for x in features(0)]
    loss = method([], h)
    z = [method.projector(x) for x in h]
    p = [method.predictor(x) for x in z]
    terms = [
        (p[v][n] @ z[1 - v][n].detach()) / (p[v][n].norm() * z[1 - v][n].detach().norm())
        for v in (0, 1)
        for n in range(12)
    ]
    expected = -torch.stack(terms).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    parameters = [*method.parameters(), *h]
    found = torch.autograd.grad(loss, parameters)
    wanted = torch.autograd.grad(expected, parameters, retain_graph=True)
    through = -torch.stack([cosine_similarity(p[v], z[1 - v]).mean() for v in (0, 1)]).mean()
    other = torch.autograd.grad(through, parameters)
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
    assert not all(torch.allclose(a, b) for a, b in zip(found, other, strict=True))


class Given(torch.nn.Module):
    """A head that gives what it is told."""

    def __init__(self, *outputs: Tensor) -> None:
        super().__init__()
        self.outputs = [*outputs]

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs.pop(0)


def test_simsiams_values_of_equal_orthogonal_and_opposite_predictions() -> None:
    method = SimSiam(8, dim=2, hidden=3).double()
    x = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    turned = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    for prediction, value in ((5 * x, -1.0), (turned, 0.0), (-x, 1.0)):
        method.projector = Given(x, x)
        method.predictor = Given(prediction, prediction)
        assert method([], [x, x]).item() == pytest.approx(value)


def test_simsiams_value_is_lightlys() -> None:
    """Of `NegativeCosineSimilarity` of lightly 1.6.0, of the embeddings of `test_redundancy`."""
    i = torch.arange(6, dtype=torch.float64)[:, None]
    j = torch.arange(4, dtype=torch.float64)
    a, b = (torch.sin(1.7 * i + 0.9 * j * j + phase) + 0.1 * j for phase in (0.0, 0.4))
    method = SimSiam(8, dim=4, hidden=3).double()
    method.projector, method.predictor = Given(a, b), Given(a, b)
    # the two directions are one, since each view's projection is its own prediction
    assert method([], [a, b]).item() == pytest.approx(-0.905833534142741, rel=1e-12)


def test_each_view_has_batch_statistics_of_its_own() -> None:
    torch.manual_seed(0)
    for method in (
        BarlowTwins(8, hidden=16, dim=4),
        VICReg(8, hidden=16, dim=4),
        SimSiam(8, dim=16, hidden=4),
    ):
        method.double()
        h1, h2 = features(1)
        with torch.no_grad():
            method([], [h1, h2 + 100])
        assert method.projector[1].num_batches_tracked == 2


def test_the_heads_have_the_published_widths() -> None:
    torch.manual_seed(0)
    encoder = Encoder(torch.nn.Identity(), 8)
    for config in (BarlowTwinsConfig(hidden=32, dim=24), VICRegConfig(hidden=32, dim=24)):
        method = config.build(encoder)
        assert widths(method.projector) == [(8, 32), (32, 32), (32, 24)]
        assert not any(m.bias is not None for m in method.projector if hasattr(m, "in_features"))
        assert isinstance(method.projector[-1], torch.nn.Linear)
    simsiam = SimSiamConfig().build(encoder)
    assert widths(simsiam.projector) == [(8, 2048), (2048, 2048), (2048, 2048)]
    assert not simsiam.projector[-1].affine
    assert widths(simsiam.predictor) == [(2048, 512), (512, 2048)]
    assert widths(SimSiamConfig(layers=2).build(encoder).projector) == [(8, 2048), (2048, 2048)]
    barlow, vicreg = BarlowTwinsConfig(), VICRegConfig()
    assert (barlow.hidden, barlow.dim, barlow.redundancy, barlow.scale) == (
        8192, 8192, 0.0051, 0.024,
    )  # fmt: skip
    assert (vicreg.hidden, vicreg.dim) == (8192, 8192)
    assert (vicreg.invariance, vicreg.variance, vicreg.covariance) == (25, 25, 1)


def test_a_last_layer_may_go_without_bias() -> None:
    assert mlp((3, 2), last_norm="none")[-1].bias is not None
    assert mlp((3, 2), last_norm="none", last_bias=False)[-1].bias is None
    assert mlp((3, 2), last_norm="plain")[0].bias is None
