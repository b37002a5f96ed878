"""Cosine and VICReg-style equivariance losses, written out number by number."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from equimod import EquiMod
from equimod.equivariance_losses import LossName, equivariance_loss
from equimod.losses import byol_loss, equivariance_nt_xent, nt_xent
from equimod.redundancy import vicreg_loss

NAMES = get_args(LossName)


def embeddings(count: int, n: int = 5, dim: int = 3, scale: float = 1.0) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    made = (torch.randn(n, dim, generator=g, dtype=torch.float64) for _ in range(count))
    return [(scale * x + 0.3).requires_grad_() for x in made]


def looped_vicreg(a: Tensor, b: Tensor) -> Tensor:
    """Terms of single numbers, with the formulas of the paper and the means of the code."""
    n, d = a.shape
    squares = [(a[i, j] - b[i, j]) ** 2 for i in range(n) for j in range(d)]
    loss = 25 * sum(squares) / (n * d)
    for x in (a, b):
        means = [sum(x[i, j] for i in range(n)) / n for j in range(d)]
        hinge, off = x.new_zeros(()), x.new_zeros(())
        for j in range(d):
            for k in range(d):
                products = [(x[i, j] - means[j]) * (x[i, k] - means[k]) for i in range(n)]
                covariance = sum(products) / (n - 1)
                if j == k:
                    hinge = hinge + torch.clamp(1 - (covariance + 1e-4) ** 0.5, min=0)
                else:
                    off = off + covariance**2
        loss = loss + 25 * hinge / d / 2 + off / d
    return loss


def looped_cosine(y: Tensor, yhat: Tensor) -> Tensor:
    total = y.new_zeros(())
    for a, b in zip(y, yhat, strict=True):
        dot = sum(a[j] * b[j] for j in range(len(a)))
        lengths = sum(p**2 for p in a) ** 0.5 * sum(q**2 for q in b) ** 0.5
        total = total + 2 - 2 * dot / lengths
    return total / len(y)


@pytest.mark.parametrize("scale", [0.2, 3.0])  # with the hinge, and without
@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize(("name", "loop"), [("vicreg", looped_vicreg), ("cosine", looped_cosine)])
def test_value_and_gradient_are_those_of_the_loop(name, loop, views: int, scale: float) -> None:
    x = embeddings(2 * views, scale=scale)
    ours = equivariance_loss(name, x[:views], x[views:])
    theirs = sum(loop(x[v], x[views + v]) for v in range(views)) / views
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    for mine, reference in zip(
        torch.autograd.grad(ours, x), torch.autograd.grad(theirs, x), strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-11)


def test_the_contrastive_loss_is_the_published_one() -> None:
    x = embeddings(4)
    ours = equivariance_loss("contrastive", x[:2], x[2:], temperature=0.3, negatives="no_sibling")
    assert torch.equal(ours, equivariance_nt_xent(x[:2], x[2:], 0.3, "no_sibling"))


def test_what_each_loss_says_of_collapsed_and_of_perfect_predictions() -> None:
    (y,) = embeddings(1, n=512, dim=4)
    point = torch.ones_like(y)
    assert equivariance_loss("cosine", [point], [point]).item() == pytest.approx(0)
    # both branches have no variance: 25 (1 - sqrt(1e-4))
    assert vicreg_loss(point, point).item() == pytest.approx(25 * 0.99)
    white = (y - y.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(y.T.cov())).T
    assert vicreg_loss(white, white).item() == pytest.approx(0, abs=1e-20)
    twins = white[:, :1].expand(-1, 4)  # every column says the same: 12 ones, of each branch
    assert vicreg_loss(twins, twins).item() == pytest.approx(2 * 12 / 4)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_and_half_precision_do_not_round_the_loss(name: LossName) -> None:
    x = [e.detach().to(torch.bfloat16).requires_grad_() for e in embeddings(4, n=32)]
    exact = equivariance_loss(name, [e.double() for e in x[:2]], [e.double() for e in x[2:]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = equivariance_loss(name, x[:2], x[2:])
        gradients = torch.autograd.grad(loss, x)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    assert all(g.isfinite().all() and g.any() for g in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_embeddings_that_do_not_fit_are_refused(name: LossName) -> None:
    a = torch.ones(2, 3)
    for targets, predictions in (([], []), ([a], [a, a]), ([a], [a[:1]]), ([a[0]], [a[0]])):
        with pytest.raises(ValueError, match="prediction"):
            equivariance_loss(name, targets, predictions)
    if name == "vicreg":
        with pytest.raises(ValueError, match="at least two rows"):
            vicreg_loss(a[:1], a[:1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stop_gradient", [False, True])
def test_the_module_has_the_loss_it_is_told(name: LossName, stop_gradient: bool) -> None:
    torch.manual_seed(0)
    equimod = EquiMod(16, 4, hidden=8, dim=6, loss=name, stop_gradient=stop_gradient).double()
    h = [torch.randn(9, 16, dtype=torch.float64).requires_grad_() for _ in range(3)]
    codes = [torch.randn(9, 4, dtype=torch.float64) for _ in range(2)]
    out = equimod(h[0], h[1:], codes)
    assert torch.equal(out.loss, equivariance_loss(name, out.targets, out.predictions))
    loop = {"cosine": looped_cosine, "vicreg": looped_vicreg}.get(name)
    if loop is not None:
        pairs = zip(out.targets, out.predictions, strict=True)
        assert out.loss.item() == pytest.approx(sum(loop(*p).item() for p in pairs) / 2)
    assert all(y.requires_grad != stop_gradient for y in out.targets)
    out.loss.backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in h)


def test_an_unknown_loss_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown loss 'cosin'; did you mean 'cosine'"):
        EquiMod(16, 4, loss="cosin")  # type: ignore[arg-type]


def test_the_values_are_lightlys() -> None:
    """Those of `NTXentLoss`, `NegativeCosineSimilarity` and `VICRegLoss` of lightly 1.6.0.

    In float64, of the embeddings of `test_redundancy`; SimCLR's and BYOL's losses, too.
    """
    i = torch.arange(6, dtype=torch.float64)[:, None]
    j = torch.arange(4, dtype=torch.float64)
    a, b = (torch.sin(1.7 * i + 0.9 * j * j + phase) + 0.1 * j for phase in (0.0, 0.4))
    cosine = 2 + 2 * -0.905833534142741
    for mine, theirs in (
        (nt_xent(a, b, 0.5), 1.2714082751330582),
        (nt_xent(a, b, 0.1), 0.7358894307585131),
        (equivariance_loss("contrastive", [a], [b], temperature=0.1), 0.7358894307585131),
        (byol_loss(a, b), cosine),
        (equivariance_loss("cosine", [a], [b]), cosine),
        (equivariance_loss("vicreg", [a], [b]), 9.199200361190433),
    ):
        assert mine.item() == pytest.approx(theirs, rel=1e-12)
