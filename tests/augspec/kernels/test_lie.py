"""The logarithm of the affine group: its domain, its inverse, its powers, and its gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from augspec.kernels.group import compose, identity, inverse
from augspec.kernels.lie import COLUMNS, affine_exp, affine_log
from augspec.ops.affinity import affinity

DOUBLE = torch.float64
B = 24
FLIP = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=DOUBLE))
seeds = st.integers(0, 2**31)


def elements(seed: int, batch: int = B, spread: float = 1.0) -> Tensor:
    """Affine elements of every kind: turns by any angle, mirrors, strong stretches, shifts."""
    generator = torch.Generator().manual_seed(seed)
    top = spread * torch.randn(batch, 2, 3, generator=generator, dtype=DOUBLE)
    top[:, 0, 0] += 1
    top[:, 1, 1] += 1
    return torch.cat([top, identity(top)[2:].expand(batch, 1, 3)], dim=1)


def linear(*rows: tuple[float, float]) -> Tensor:
    """The element of a 2x2 matrix, with a shift."""
    top = torch.tensor([[*rows[0], 0.3], [*rows[1], -0.2]], dtype=DOUBLE)
    return torch.cat([top, identity(top)[2:]])[None]


def algebra(code: Tensor) -> Tensor:
    """The matrices whose exponentials codes stand for."""
    _, turn, sx, sy, sxy, vx, vy = code.unbind(-1)
    zero = torch.zeros_like(turn)
    rows = [sx, sxy - turn, vx, sxy + turn, sy, vy, zero, zero, zero]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def relative_error(mine: Tensor, expected: Tensor) -> float:
    size = expected.abs().amax(dim=(1, 2))
    return ((mine - expected).abs().amax(dim=(1, 2)) / size).max().item()


@given(seed=seeds, spread=st.sampled_from([1e-9, 1e-3, 0.1, 0.5, 1.0, 3.0]))
def test_exp_undoes_log(seed: int, spread: float) -> None:
    m = elements(seed, spread=spread)
    code, exists = affine_log(m)
    assert code.shape == (B, len(COLUMNS))
    assert torch.isfinite(code[exists]).all()
    assert torch.isnan(code[~exists]).all()
    assert not exists.any() or relative_error(affine_exp(code[exists]), m[exists]) < 1e-10
    assert torch.equal(code[exists, 0] == 1, torch.linalg.det(m[exists]) < 0)


@settings(max_examples=8)
@given(seed=seeds, spread=st.sampled_from([1e-9, 0.1, 1.0, 3.0]))
def test_the_logarithm_is_scipys_where_that_is_real(seed: int, spread: float) -> None:
    m = elements(seed, 4, spread)
    m = torch.where((torch.linalg.det(m) < 0)[:, None, None], m @ FLIP, m)
    code, exists = affine_log(m)
    for element, row, there in zip(m, code, exists, strict=True):
        theirs = scipy.linalg.logm(element.numpy())
        assert (np.abs(np.imag(theirs)).max() < 1e-9) == bool(there)
        if there:
            mine = algebra(row[None])[0].numpy()
            atol = 1e-7 * np.abs(theirs).max() if spread > 1 else 1e-13
            np.testing.assert_allclose(mine, np.real(theirs), rtol=0, atol=atol)


@given(seed=seeds, spread=st.sampled_from([1e-6, 0.1, 1.0, 2.0]))
def test_log_undoes_exp_for_turns_below_a_half(seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    code = spread * torch.randn(B, 7, generator=generator, dtype=DOUBLE)
    code[:, 0] = (code[:, 0] > 0).double()
    code[:, 1] = code[:, 1].clamp(-3, 3)
    element = affine_exp(code)
    torch.testing.assert_close(
        element, torch.matrix_exp(algebra(code)) @ _mirrors(code), rtol=1e-11, atol=1e-12
    )
    again, exists = affine_log(element)
    assert exists.all()
    torch.testing.assert_close(again, code, rtol=1e-8, atol=1e-10)


def _mirrors(code: Tensor) -> Tensor:
    return torch.where((code[:, 0] > 0.5)[:, None, None], FLIP, identity(FLIP))


@given(seed=seeds)
def test_multiples_are_powers_and_the_opposite_is_the_inverse(seed: int) -> None:
    m = elements(seed, spread=0.3)
    m = torch.where((torch.linalg.det(m) < 0)[:, None, None], m @ FLIP, m)
    code, exists = affine_log(m)
    m, code = m[exists], code[exists]
    half = affine_exp(code / 2)
    torch.testing.assert_close(compose(half, half), m, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(affine_exp(-code), inverse(m), rtol=1e-9, atol=1e-10)


def test_what_the_columns_are() -> None:
    part = {name: torch.tensor([value], dtype=DOUBLE) for name, value in SIMPLE.items()}
    for name, columns in {
        "angle": {"turn": 2 * math.pi * 0.1},
        "scale": {"stretch_x": math.log(1.5), "stretch_y": math.log(1.5)},
        "translate_x": {"shift_x": 0.4},
        "translate_y": {"shift_y": -0.2},
    }.items():
        code, exists = affine_log(affinity((32, 32), **{name: part[name]}))
        expected = torch.tensor([[columns.get(column, 0.0) for column in COLUMNS]], dtype=DOUBLE)
        assert exists.all()
        torch.testing.assert_close(code, expected, rtol=1e-14, atol=1e-15)
    one = identity(FLIP)[None]
    assert torch.equal(affine_log(one)[0], torch.zeros(1, 7, dtype=DOUBLE))
    assert torch.equal(affine_exp(torch.zeros(1, 7)), one)
    mirror = torch.tensor([[1.0, 0, 0, 0, 0, 0, 0]], dtype=DOUBLE)
    assert torch.equal(affine_log(FLIP[None])[0], mirror)
    assert torch.equal(affine_exp(mirror), FLIP[None])


SIMPLE = {"angle": 0.1, "scale": 1.5, "translate_x": 0.2, "translate_y": -0.1}


@pytest.mark.parametrize(
    ("rows", "there"),
    [
        (((-1, 0), (0, -1)), True),  # a half turn
        (((-2, 0), (0, -2)), True),  # that enlarges
        (((-1, 0), (0, -2)), False),  # that stretches one axis more than the other
        (((-1, 1), (0, -1)), False),  # that slants: a Jordan block
        (((-1, 0.1), (-0.1, -1)), True),  # nearly a half turn
        (((-1, 0.1), (-0.1, -1.5)), False),  # whose axes differ too much
        (((-1, 0.3), (-0.3, -1.5)), True),
        (((1, 0), (0, -1)), True),  # top to bottom: mirrored, and turned by a half
        (((-1, 0), (0, 2)), True),
        (((-1, 0), (0, 1)), True),
        (((3, 1), (1, 0.4)), True),  # positive eigenvalues far apart
        (((1, 0), (0, 0)), False),  # no inverse
        (((0, 0), (0, 0)), False),
    ],
)
def test_the_domain(rows, there: bool) -> None:
    m = linear(*rows)
    code, exists = affine_log(m)
    assert exists.item() is there
    assert torch.isfinite(code).all().item() is there
    if there:
        torch.testing.assert_close(affine_exp(code), m, rtol=1e-12, atol=1e-12)
        angles = torch.linalg.eigvals(algebra(code)).imag.abs()
        assert angles.max() <= math.pi + 1e-12


def test_what_is_not_affine_has_no_logarithm() -> None:
    m = elements(0, 2, 0.1)
    m[0, 2, 0] = 1e-3
    code, exists = affine_log(m)
    assert exists.tolist() == [False, True]
    assert torch.isnan(code[0]).all()


def test_half_turns_up_to_rounding_are_half_turns() -> None:
    """What a turn by 180 degrees is in floating point, and its neighbours."""
    m = affinity((24, 40), angle=torch.tensor([0.5, -0.5, 0.5 + 1e-9, 0.4999], dtype=DOUBLE))
    code, exists = affine_log(m)
    assert exists.all()
    torch.testing.assert_close(affine_exp(code), m, rtol=0, atol=1e-12)
    assert code[:2, 1].tolist() == [math.pi, math.pi]


@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.03, 0.1, 0.5])
def test_gradients_are_right(spread: float) -> None:
    top = elements(3, 3, spread)[:, :2].requires_grad_()
    last = identity(top)[2:].expand(3, 1, 3)

    def log(rows: Tensor) -> Tensor:
        code, exists = affine_log(torch.cat([rows, last], dim=1))
        assert exists.all()
        return code[:, 1:]

    assert torch.autograd.gradcheck(log, (top,))
    code = log(top.detach()).requires_grad_()
    bit = torch.tensor([[0.0], [1.0], [0.0]], dtype=DOUBLE)
    assert torch.autograd.gradcheck(lambda c: affine_exp(torch.cat([bit, c], dim=1)), (code,))


def test_gradients_stay_finite_beside_rows_without_a_logarithm() -> None:
    rows = [linear((-1, 0), (0, -2)), linear((-1, 0), (0, -1)), linear((0, 0), (0, 0))]
    m = torch.cat([*rows, identity(FLIP)[None]]).requires_grad_()
    code, exists = affine_log(m)
    torch.where(exists[:, None], code, 0.0).sum().backward()
    assert torch.isfinite(m.grad).all()


@pytest.mark.gpu
def test_a_gpu_gives_the_same_without_making_the_host_wait() -> None:
    m = elements(0)
    there = m.cuda()
    affine_exp(affine_log(there)[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        code, exists = affine_log(there)
        back = affine_exp(code)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected, known = affine_log(m)
    assert torch.equal(exists.cpu(), known)
    torch.testing.assert_close(code.cpu(), expected, equal_nan=True, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(back.cpu()[known], m[known], rtol=1e-9, atol=1e-10)
