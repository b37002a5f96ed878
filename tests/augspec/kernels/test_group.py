"""The group of projective maps: its laws, its points, its gradients, and no waiting host."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from augspec.kernels.group import (
    HORIZON,
    at_horizon,
    compose,
    identity,
    inverse,
    normalized,
    relative,
    transform,
)
from augspec.kernels.homography import from_corners

DOUBLE = torch.float64
B = 16
seeds = st.integers(0, 2**31)


def affine(seed: int, batch: int = B) -> Tensor:
    """Affine elements whose singular values lie in [0.3, 3], mirrored ones among them."""
    generator = torch.Generator().manual_seed(seed)
    left, _, right = torch.linalg.svd(torch.randn(batch, 2, 2, generator=generator, dtype=DOUBLE))
    values = torch.rand(batch, 2, 1, generator=generator, dtype=DOUBLE) * 2.7 + 0.3
    shift = torch.randn(batch, 2, 1, generator=generator, dtype=DOUBLE)
    top = torch.cat([left @ (values * right), shift], dim=-1)
    return torch.cat([top, identity(top)[2:].expand(batch, 1, 3)], dim=1)


def projective(seed: int, batch: int = B) -> Tensor:
    """Affine elements after a look from an angle, with horizons well outside the image."""
    generator = torch.Generator().manual_seed(seed + 1)
    tilt = identity(torch.zeros((), dtype=DOUBLE)).repeat(batch, 1, 1)
    tilt[:, 2, :2] = torch.rand(batch, 2, generator=generator, dtype=DOUBLE) * 0.6 - 0.3
    return normalized(affine(seed, batch) @ tilt)


def near(mine: Tensor, expected: Tensor, error: float = 1e-11) -> None:
    """Equal, relative to the largest entry of each element."""
    size = expected.abs().amax(dim=(-2, -1), keepdim=True)
    torch.testing.assert_close(mine / size, expected / size, rtol=0, atol=error)


@pytest.mark.parametrize("elements", [affine, projective])
@given(seed=seeds)
def test_composition_is_associative_and_the_identity_is_neutral(elements, seed: int) -> None:
    a, b, c = (elements(seed + k) for k in (0, 10, 20))
    near(compose(c, compose(b, a)), compose(compose(c, b), a))
    assert torch.equal(compose(a, identity(a)), a)
    assert torch.equal(compose(identity(a), a), a)
    # not commutative: a transposed product would pass the laws above
    assert (compose(a, b) - compose(b, a)).abs().amax() > 1e-3


@pytest.mark.parametrize("elements", [affine, projective])
@given(seed=seeds)
def test_an_inverse_undoes_from_both_sides(elements, seed: int) -> None:
    a, b = elements(seed), elements(seed + 10)
    one = identity(a).expand_as(a)
    torch.testing.assert_close(compose(inverse(a), a), one, rtol=0, atol=1e-11)
    torch.testing.assert_close(compose(a, inverse(a)), one, rtol=0, atol=1e-11)
    near(inverse(inverse(a)), a)
    near(inverse(compose(b, a)), compose(inverse(a), inverse(b)))
    near(inverse(a), normalized(torch.linalg.inv(a)))


@pytest.mark.parametrize("elements", [affine, projective])
@given(seed=seeds)
def test_relative_elements_lead_from_one_to_the_other_and_chain(elements, seed: int) -> None:
    a, b, c = (elements(seed + k) for k in (0, 10, 20))
    near(compose(relative(a, b), a), b)
    near(relative(a, c), compose(relative(b, c), relative(a, b)), 1e-10)
    near(relative(b, a), inverse(relative(a, b)), 1e-10)
    # what both undergo afterwards conjugates, what both underwent before cancels
    near(relative(compose(a, c), compose(b, c)), relative(a, b), 1e-10)
    assert torch.equal(relative(a, a), identity(a).expand_as(a))


@given(seed=seeds)
def test_affine_elements_stay_affine_to_the_last_bit(seed: int) -> None:
    a, b = affine(seed), affine(seed + 10)
    for element in (a, inverse(a), compose(b, a), relative(a, b), compose(inverse(b), inverse(a))):
        assert torch.equal(element[:, 2], identity(a)[2].expand(B, 3))


def test_flips_and_quarter_turns_are_exact() -> None:
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=DOUBLE)[None]
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=DOUBLE))[None]
    assert torch.equal(inverse(turn), turn.mT)
    assert torch.equal(inverse(flip), flip)
    assert torch.equal(compose(turn, compose(turn, compose(turn, turn)))[0], identity(turn))
    assert torch.equal(compose(flip, compose(turn, flip)), inverse(turn))


@given(seed=seeds, factor=st.sampled_from([-3.0, 1e-8, 1e8]))
def test_a_factor_makes_no_difference(seed: int, factor: float) -> None:
    a, b = projective(seed), projective(seed + 10)
    near(normalized(a * factor), a)
    near(compose(b * factor, a), compose(b, a))
    near(relative(a * factor, b), relative(a, b), 1e-10)


def test_a_centre_at_infinity_has_a_representative_too() -> None:
    m = torch.tensor([[1.0, 0.2, 0.3], [0.1, 1.0, -4.0], [0.5, -1.0, 0.0]], dtype=DOUBLE)
    m = torch.stack([m, -m, m * 7])
    m[2, 2, 2] = 7 * HORIZON / 2
    assert at_horizon(m).all()
    one = normalized(m)
    assert torch.isfinite(one).all()
    near(one[1], one[0], 1e-15)
    near(one[2], one[0], HORIZON)
    back = compose(inverse(one), one)
    torch.testing.assert_close(back, identity(m).expand_as(m), rtol=0, atol=1e-12)
    # huge affine elements have no horizon
    large = identity(m) * torch.tensor([1e9, 1e9, 1.0], dtype=DOUBLE)
    assert not at_horizon(large)
    assert torch.equal(normalized(large), large)


@given(seed=seeds)
def test_points_move_as_the_group_says(seed: int) -> None:
    a, b = projective(seed), projective(seed + 10)
    x, y = torch.linspace(-1, 1, 7, dtype=DOUBLE), torch.linspace(0.9, -0.7, 7, dtype=DOUBLE)
    inside = transform(a, x, y)
    both = torch.stack(transform(b, *inside))
    expected = torch.stack(transform(compose(b, a), x, y))
    keep = both.abs().amax(dim=(0, 2)) < 50
    torch.testing.assert_close(both[:, keep], expected[:, keep], rtol=0, atol=1e-8)


def test_points_of_corners() -> None:
    ends = torch.tensor([[[0.1, 0.2], [0.8, 0.1], [0.9, 0.7], [0.2, 1.0]]], dtype=DOUBLE)
    x = torch.tensor([-1.0, 1.0, 1.0, -1.0], dtype=DOUBLE)
    y = torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=DOUBLE)
    moved = torch.stack(transform(normalized(from_corners(ends)), x, y), dim=-1)
    torch.testing.assert_close(moved, ends * 2 - 1)


@pytest.mark.parametrize("elements", [affine, projective])
def test_gradients_are_right(elements) -> None:
    a, b = elements(0, 3).requires_grad_(), elements(1, 3).requires_grad_()
    assert torch.autograd.gradcheck(compose, (a, b))
    assert torch.autograd.gradcheck(inverse, (a,))
    assert torch.autograd.gradcheck(relative, (a, b))
    # also where the value is the identity to the last bit
    same = a.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda b: relative(a.detach(), b), (same,))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_without_making_the_host_wait() -> None:
    a, b = projective(0), projective(1)
    there = a.cuda(), b.cuda()
    relative(*there)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = relative(*there)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    near(found.cpu(), relative(a, b))
