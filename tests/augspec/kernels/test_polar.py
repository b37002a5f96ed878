"""The code that every projective map has: total, unique, back again, and what its columns are."""

from __future__ import annotations

import math

import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from augspec.kernels.group import HORIZON, at_horizon, identity, normalized
from augspec.kernels.polar import AFFINE, COLUMNS, polar_code, polar_element
from augspec.ops.affinity import affinity

DOUBLE = torch.float64
B = 24
FLIP = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=DOUBLE))
seeds = st.integers(0, 2**31)


def elements(seed: int, spread: float, tilt: float, batch: int = B) -> Tensor:
    """Any maps at all: mirrors, half turns with stretches, horizons through the image."""
    generator = torch.Generator().manual_seed(seed)
    m = identity(FLIP) + spread * torch.randn(batch, 3, 3, generator=generator, dtype=DOUBLE)
    m[:, 2, :2] *= tilt
    m[:, 2, 2] = 1
    return m


def relative_error(mine: Tensor, expected: Tensor) -> float:
    size = expected.abs().amax(dim=(1, 2))
    return ((mine - expected).abs().amax(dim=(1, 2)) / size).max().item()


@given(
    seed=seeds,
    spread=st.sampled_from([1e-9, 1e-3, 0.1, 0.5, 1.0, 3.0]),
    tilt=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_every_map_has_a_finite_code_that_gives_it_back(
    seed: int, spread: float, tilt: float
) -> None:
    m = elements(seed, spread, tilt)
    code = polar_code(m)
    assert code.shape == (B, len(COLUMNS))
    assert torch.isfinite(code).all()
    assert relative_error(polar_element(code), m) < 1e-9
    torch.testing.assert_close(polar_code(-2 * m), code, rtol=1e-9, atol=1e-11)
    if tilt == 0:
        assert (code[:, AFFINE:] == 0).all()
        assert relative_error(polar_element(code[:, :AFFINE]), m) < 1e-12
        assert torch.equal(polar_element(code[:, :AFFINE])[:, 2], identity(m)[2].expand(B, 3))


@given(seed=seeds)
def test_every_code_is_one_of_some_map_and_only_of_that_one(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    code = torch.randn(B, len(COLUMNS), generator=generator, dtype=DOUBLE)
    code[:, 0] = (code[:, 0] > 0).double()
    angle = code[:, 1] * 2
    code[:, 1], code[:, 2] = angle.sin(), 1 - angle.cos()
    again = polar_code(polar_element(code))
    torch.testing.assert_close(again, code, rtol=1e-7, atol=1e-8)
    # a turn is read by its direction, a bit at one half
    made_up = code.clone()
    made_up[:, 1] *= 0.3
    made_up[:, 2] = 1 - 0.3 * angle.cos()
    made_up[:, 0] = 0.2 + 0.6 * code[:, 0]
    torch.testing.assert_close(polar_element(made_up), polar_element(code), rtol=1e-9, atol=1e-10)


@settings(max_examples=8)
@given(seed=seeds)
def test_turn_and_stretch_are_scipys_polar_decomposition(seed: int) -> None:
    m = elements(seed, 1.0, 0.0, 4)
    code = polar_code(m)
    for element, row in zip(m, code, strict=True):
        plain = element[:2, :2] @ FLIP[:2, :2] if row[0] else element[:2, :2]
        turn, stretch = map(torch.from_numpy, scipy.linalg.polar(plain.numpy(), side="left"))
        log = torch.from_numpy(scipy.linalg.logm(stretch.numpy()))
        expected = torch.stack([turn[1, 0], 1 - turn[0, 0], log[0, 0], log[1, 1], log[0, 1]])
        torch.testing.assert_close(row[1:6], expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(code[:, 6:8], m[:, :2, 2], rtol=1e-15, atol=0)


def test_what_the_columns_are() -> None:
    third = torch.tensor([1 / 3], dtype=DOUBLE)
    sine, cosine = math.sin(2 * math.pi / 3), math.cos(2 * math.pi / 3)
    cases = [
        (identity(FLIP)[None], {}),
        (FLIP[None], {"reflection": 1.0}),
        (affinity((32, 32), angle=third), {"sin": sine, "versin": 1 - cosine}),
        (affinity((32, 32), angle=third * 1.5), {"versin": 2.0}),
        (affinity((32, 32), scale=third), {"stretch_x": -math.log(3), "stretch_y": -math.log(3)}),
        (affinity((32, 20), translate_x=third), {"shift_x": 2 / 3}),
        # an upside-down crop, which has no logarithm
        (
            torch.diag(torch.tensor([-1.0, -2.0, 1.0], dtype=DOUBLE))[None],
            {"versin": 2.0, "stretch_y": math.log(2)},
        ),
    ]
    for element, columns in cases:
        expected = torch.tensor([[columns.get(column, 0.0) for column in COLUMNS]], dtype=DOUBLE)
        torch.testing.assert_close(polar_code(element), expected, rtol=1e-14, atol=2e-16)
    assert torch.equal(polar_code(cases[0][0]), torch.zeros(1, 10, dtype=DOUBLE))
    assert torch.equal(polar_element(torch.zeros(1, 10)), cases[0][0])
    small = affinity((32, 32), angle=torch.tensor([1e-7 / (2 * math.pi)], dtype=DOUBLE))
    versin = polar_code(small)[0, COLUMNS.index("versin")].item()
    assert versin == pytest.approx(5e-15, rel=1e-9)  # 1 - cos would have no digit of it right
    tilted = identity(FLIP)[None].clone()
    tilted[0, 2, 0] = 0.25
    code = polar_code(tilted)
    assert code[0, -2:].tolist() == [0.25, 0.0]
    torch.testing.assert_close(code[0, :-2], torch.zeros(8, dtype=DOUBLE))


def test_a_centre_at_infinity_moves_a_little_and_stays_finite() -> None:
    m = torch.tensor([[1.0, 0.2, 0.3], [0.1, 1.0, -0.4], [0.5, -1.0, 0.0]], dtype=DOUBLE)
    m = torch.stack([m, -m, m + identity(m) * HORIZON / 3])
    assert at_horizon(m).all()
    m.requires_grad_()
    code = polar_code(m)
    assert torch.isfinite(code).all()
    back = polar_element(code).detach()
    for mine, expected in zip(back, m.detach(), strict=True):
        scale = (mine * expected).sum() / expected.square().sum()
        assert (mine / scale - expected).abs().max() < 2 * HORIZON
    code.sum().backward()
    assert torch.isfinite(m.grad).all()


@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.03, 0.3, 1.0])
@pytest.mark.parametrize("mirror", [False, True])
def test_gradients_are_right(spread: float, mirror: bool) -> None:
    m = elements(1, spread, 0.2, 3)
    m = (m @ FLIP if mirror else m).requires_grad_()
    assert torch.autograd.gradcheck(polar_code, (m,))
    code = polar_code(m.detach()).requires_grad_()
    assert torch.autograd.gradcheck(polar_element, (code,))


def test_float32_codes_give_float32_precision() -> None:
    m = elements(4, 0.5, 0.0)
    back = polar_element(polar_code(m)[:, :AFFINE].float())
    assert back.dtype == DOUBLE
    assert relative_error(back, normalized(m)) < 2e-6


@pytest.mark.gpu
def test_a_gpu_gives_the_same_without_making_the_host_wait() -> None:
    m = elements(0, 0.5, 0.2)
    there = m.cuda()
    polar_element(polar_code(there))
    torch.cuda.set_sync_debug_mode("error")
    try:
        code = polar_code(there)
        back = polar_element(code)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(code.cpu(), polar_code(m), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(back.cpu(), m, rtol=1e-9, atol=1e-10)
