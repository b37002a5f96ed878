"""EquiMod in an ordinary loop with codes made by hand, its heads, and its refusals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from equimod import EquiMod, EquiModConfig, equivariance_nt_xent
from equimod.heads import mlp
from equimod.predictors import PREDICTORS, PredictorName


def layers(network: nn.Module) -> list[tuple[Any, ...]]:
    """Each layer's kind and what distinguishes it."""
    described: list[tuple[Any, ...]] = []
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            described.append(("linear", layer.in_features, layer.out_features, layer.bias is None))
        elif isinstance(layer, nn.BatchNorm1d):
            described.append(("norm", layer.num_features, layer.affine))
        elif isinstance(layer, nn.ReLU):
            described.append(("relu",))
    return described


def test_the_heads_are_those_of_the_released_code() -> None:
    equimod = EquiMod(feature_dim=512, code_dim=17)
    assert layers(equimod.projector) == [
        ("linear", 512, 2048, True),
        ("norm", 2048, True),
        ("relu",),
        ("linear", 2048, 2048, True),
        ("norm", 2048, True),
        ("relu",),
        ("linear", 2048, 128, True),
        ("norm", 128, False),
    ]
    assert layers(equimod.predictor) == [
        ("linear", 17, 128, True),
        ("norm", 128, True),
        ("linear", 256, 128, True),
        ("norm", 128, False),
    ]


def test_an_mlp_without_last_norm_ends_in_a_bias() -> None:
    assert layers(mlp((3, 4, 2), last_norm="none"))[-1] == ("linear", 4, 2, False)
    with pytest.raises(ValueError, match="input and an output width"):
        mlp((3,), last_norm="none")


def displaced(n: int, seed: int) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Features of images and of two views, each displaced by a fixed linear map of its code."""
    g = torch.Generator().manual_seed(seed)
    effect = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    h0 = torch.randn(n, 16, generator=g)
    codes = [torch.rand(n, 4, generator=g) * 2 - 1 for _ in range(2)]
    return h0, [h0 + c @ effect for c in codes], codes


@pytest.mark.parametrize("negatives", ["all", "no_sibling"])
def test_a_loop_with_hand_made_codes_learns_to_predict_displacements(negatives: Any) -> None:
    torch.manual_seed(0)
    encoder = nn.Linear(16, 16)
    equimod = EquiMod(feature_dim=16, code_dim=4, hidden=64, dim=16, negatives=negatives)
    optimizer = torch.optim.Adam([*encoder.parameters(), *equimod.parameters()], lr=3e-3)
    losses = []
    for step in range(120):
        h0, views, codes = displaced(128, seed=step + 1)
        out = equimod(encoder(h0), [encoder(h) for h in views], codes)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
        losses.append(out.loss.item())
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])

    encoder.eval(), equimod.eval()
    h0, views, codes = displaced(512, seed=10_000)
    with torch.no_grad():
        out = equimod(encoder(h0), [encoder(h) for h in views], codes)
    for y, predicted in zip(out.targets, out.predictions, strict=True):
        to_prediction = F.cosine_similarity(y, predicted).mean()
        to_identity = F.cosine_similarity(y, out.reference).mean()
        assert to_prediction > to_identity + 0.1


def test_the_package_works_in_a_process_of_its_own_without_augspecs_pipeline() -> None:
    program = (
        "import torch, sys\n"
        "from equimod import EquiMod\n"
        "equimod = EquiMod(feature_dim=8, code_dim=3, hidden=8, dim=4)\n"
        "h = [torch.randn(6, 8, requires_grad=True) for _ in range(3)]\n"
        "out = equimod(h[0], h[1:], [torch.rand(6, 3), torch.rand(6, 3)])\n"
        "out.loss.backward()\n"
        "assert all(x.grad.abs().sum() > 0 for x in h)\n"
        "assert 'kornia' not in sys.modules and 'augspec.compiler.pipeline' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_output_is_the_loss_between_projections_and_predictions() -> None:
    torch.manual_seed(0)
    equimod = EquiMod(feature_dim=16, code_dim=4, hidden=8, dim=6, temperature=0.3).eval()
    h0, views, codes = displaced(7, seed=1)
    out = equimod(h0, views, codes)
    assert torch.allclose(out.reference, equimod.project(h0), atol=1e-6)
    for y, predicted, h, c in zip(out.targets, out.predictions, views, codes, strict=True):
        assert torch.allclose(y, equimod.project(h), atol=1e-6)
        assert torch.allclose(predicted, equimod.predict(out.reference, c), atol=1e-6)
    expected = equivariance_nt_xent(out.targets, out.predictions, 0.3)
    assert out.loss.item() == pytest.approx(expected.item())


def test_the_affine_predictor_displaces_every_image_alike() -> None:
    torch.manual_seed(0)
    equimod = EquiMod(feature_dim=16, code_dim=4, hidden=8, dim=6).eval()
    y0, code = torch.randn(5, 6), torch.rand(1, 4).expand(5, 4)
    displacement = equimod.predict(y0, code) - equimod.predict(y0, torch.zeros(5, 4))
    assert displacement.abs().max() > 1e-3
    assert torch.allclose(displacement, displacement[:1].expand(5, 6), atol=1e-6)


def test_batch_norms_see_reference_and_views_as_one_batch() -> None:
    torch.manual_seed(0)
    equimod = EquiMod(feature_dim=16, code_dim=4, hidden=8, dim=6)
    h0, views, codes = displaced(32, seed=1)
    out = equimod(h0, views, codes)
    joint = torch.cat([out.reference, *out.targets])
    assert torch.allclose(joint.mean(0), torch.zeros(6), atol=1e-5)
    assert out.reference.mean(0).abs().max() > 1e-3
    assert torch.allclose(torch.cat(out.predictions).mean(0), torch.zeros(6), atol=1e-5)


@pytest.mark.parametrize("stop_gradient", [False, True])
def test_stop_gradient_keeps_the_loss_from_the_views(stop_gradient: bool) -> None:
    torch.manual_seed(0)
    equimod = EquiMod(16, 4, hidden=8, dim=6, stop_gradient=stop_gradient).eval()
    h0, views, codes = displaced(5, seed=1)
    inputs = [h0, *views]
    for h in inputs:
        h.requires_grad_()
    out = equimod(h0, views, codes)
    gradients = torch.autograd.grad(out.loss, inputs, allow_unused=True)
    reaches = [g is not None and bool(g.abs().max() > 0) for g in gradients]
    assert reaches == [True, not stop_gradient, not stop_gradient]
    assert all(y.requires_grad is not stop_gradient for y in out.targets)


def test_the_gradient_reaches_the_codes() -> None:
    torch.manual_seed(0)
    equimod = EquiMod(16, 4, hidden=8, dim=6)
    h0, views, codes = displaced(8, seed=1)
    for c in codes:
        c.requires_grad_()
    equimod(h0, views, codes).loss.backward()
    assert all(c.grad is not None and c.grad.abs().max() > 0 for c in codes)


@pytest.mark.parametrize(
    ("h0", "views", "codes", "message"),
    [
        ((4, 16), [(4, 16)], [(4, 5)], r"codes\[0\] has shape \(4, 5\).*code_dim=4"),
        ((4, 16), [(4, 12)], [(4, 4)], r"views\[0\] has shape \(4, 12\).*feature_dim=16"),
        ((4, 16), [(3, 16)], [(4, 4)], r"views\[0\] has shape \(3, 16\).*4 rows"),
        ((4, 12), [(4, 16)], [(4, 4)], r"reference has shape \(4, 12\).*feature_dim=16"),
        ((4, 16), [(4, 16)], [], "1 views and 0 codes"),
        ((4, 16), [], [], "at least one view"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    h0: tuple[int, int],
    views: list[tuple[int, int]],
    codes: list[tuple[int, int]],
    message: str,
) -> None:
    equimod = EquiMod(16, 4, hidden=8, dim=6)
    with pytest.raises(ValueError, match=message):
        equimod(torch.ones(h0), [torch.ones(s) for s in views], [torch.ones(s) for s in codes])


def test_widths_and_predictors_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="code_dim must be at least 1, not 0"):
        EquiMod(16, 0)
    with pytest.raises(
        ValueError, match=r"predictor 'afine'; did you mean 'affine'\?; known: affine"
    ):
        EquiMod(16, 4, predictor="afine")  # type: ignore[arg-type]


def test_every_predictor_can_be_named_in_a_config_and_built() -> None:
    assert set(get_args(PredictorName)) == set(PREDICTORS)
    for name in PREDICTORS:
        predict = PREDICTORS[name](6, 4)
        assert predict(torch.randn(3, 6), torch.randn(3, 4)).shape == (3, 6)


def test_a_config_builds_the_module_it_describes() -> None:
    config = EquiModConfig(
        hidden=8, dim=6, temperature=0.4, negatives="no_sibling", stop_gradient=True
    )
    equimod = config.build(feature_dim=16, code_dim=4)
    assert (equimod.temperature, equimod.negatives, equimod.stop_gradient) == (
        0.4,
        "no_sibling",
        True,
    )
    assert layers(equimod.projector)[-1] == ("norm", 6, False)
    assert EquiModConfig().weight == 1.0
    for wrong in ({"temperature": 0}, {"negatives": "none"}, {"wieght": 2}, {"dim": 0}):
        with pytest.raises(ValidationError):
            EquiModConfig(**wrong)
