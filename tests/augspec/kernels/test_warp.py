"""Projective warps and homographies, against torchvision and the algebra they must obey."""

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import InterpolationMode

from augspec.kernels.homography import from_corners
from augspec.kernels.warp import adjugate, warp

DOUBLE = torch.float64
SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=DOUBLE)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=DOUBLE).to(dtype)


def random_corners(batch: int, seed: int = 0, reach: float = 0.4) -> Tensor:
    """The unit square's corners, each moved by up to `reach` in any direction."""
    return SQUARE + (noise(batch, 4, 2, seed=seed, dtype=DOUBLE) * 2 - 1) * reach


def identity(batch: int) -> Tensor:
    return torch.eye(3, dtype=DOUBLE).expand(batch, 3, 3)


@given(seed=st.integers(0, 2**31))
def test_the_adjugate_is_the_determinant_times_the_inverse(seed: int) -> None:
    m = noise(5, 3, 3, seed=seed, dtype=DOUBLE) + torch.eye(3)
    expected = torch.linalg.det(m)[:, None, None] * identity(5)
    torch.testing.assert_close(m @ adjugate(m), expected, rtol=0, atol=1e-12)


@given(seed=st.integers(0, 2**31))
def test_a_homography_takes_the_corners_where_it_is_told(seed: int) -> None:
    corners = random_corners(6, seed)
    points = torch.cat([SQUARE * 2 - 1, torch.ones(4, 1)], dim=-1).double()
    moved = points @ from_corners(corners).mT
    expected = (corners * 2 - 1) * moved[..., 2:]
    torch.testing.assert_close(moved[..., :2], expected, rtol=0, atol=1e-12)


def test_corners_that_stay_give_exactly_the_identity() -> None:
    assert torch.equal(from_corners(SQUARE.expand(3, 4, 2)), identity(3))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("fill", [0.0, 0.5])
@pytest.mark.parametrize("size", [(33, 33), (40, 61), (1, 7)])
def test_the_identity_changes_nothing(interpolation, fill, size) -> None:
    x = noise(2, 3, *size)
    view = warp(x, identity(2), interpolation=interpolation, fill=fill)
    torch.testing.assert_close(view, x, rtol=0, atol=2e-5)


@pytest.mark.parametrize("factor", [-3.0, 1e-3, 1e3])
def test_a_factor_on_the_matrix_changes_nothing(factor: float) -> None:
    x, m = noise(4, 3, 24, 30), from_corners(random_corners(4))
    mine = warp(x, m * factor, interpolation="bilinear", fill=0.3)
    expected = warp(x, m, interpolation="bilinear", fill=0.3)
    torch.testing.assert_close(mine, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("fill", [0.0, 0.5])
@pytest.mark.parametrize("size", [(32, 32), (40, 61)])
def test_homographies_are_torchvisions(interpolation, fill, size) -> None:
    height, width = size
    x, corners = noise(12, 3, height, width), random_corners(12, seed=3, reach=0.3)
    mine = warp(x, from_corners(corners), interpolation=interpolation, fill=fill)
    sides = torch.tensor([width, height], dtype=DOUBLE)
    mode = InterpolationMode(interpolation)
    for image, view, ends in zip(x, mine, corners * sides, strict=True):
        starts = (SQUARE * sides).tolist()
        theirs = TF.perspective(image, starts, ends.tolist(), interpolation=mode, fill=fill)
        if interpolation == "bilinear":
            torch.testing.assert_close(view, theirs, rtol=0, atol=1e-4)
        else:
            assert (view != theirs).any(dim=0).float().mean() < 2e-3


def test_samples_do_not_touch_each_other() -> None:
    x, m = noise(5, 3, 20, 26), from_corners(random_corners(5))
    together = warp(x, m, interpolation="bilinear", fill=0.2)
    apart = [warp(x[k : k + 1], m[k : k + 1], interpolation="bilinear", fill=0.2) for k in range(5)]
    assert torch.equal(together, torch.cat(apart))


def test_a_half_turn_of_odd_sides_picks_whole_pixels() -> None:
    x = noise(1, 3, 33, 47)
    half = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=DOUBLE))[None]
    assert torch.equal(warp(x, half, interpolation="nearest", fill=0.0), x.rot90(2, (-2, -1)))


@pytest.mark.parametrize("side", [10, 11, 32, 224])
def test_the_last_bits_of_a_shift_do_not_pick_the_nearest_pixel(side: int) -> None:
    x, shift = noise(1, 3, side, side), identity(1).clone()
    views = []
    for error in (-1e-9, 0.0, 1e-9):
        shift[:, 0, 2] = 1 / side + error  # half a pixel
        views.append(warp(x, shift, interpolation="nearest", fill=0.0))
    assert torch.equal(views[0], views[1])
    assert torch.equal(views[0], views[2])


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_horizons_and_singular_maps_give_finite_pixels_and_gradients(interpolation) -> None:
    x = noise(4, 3, 8, 8, dtype=DOUBLE).requires_grad_()
    m = identity(4).clone()
    m[0, 2] = torch.tensor([1.0, 0.0, 0.125])  # its horizon runs through a column of pixel centres
    m[1] = 0.0
    m[2, 0] = 0.0
    m[3] = from_corners(SQUARE[None] * 0 + 0.5)[0]
    m.requires_grad_()
    view = warp(x, m, interpolation=interpolation, fill=0.5)
    view.square().sum().backward()
    assert torch.isfinite(view).all()
    assert torch.isfinite(x.grad).all()
    assert m.grad is None or torch.isfinite(m.grad).all()


def test_gradients_are_right() -> None:
    x = noise(3, 2, 6, 7, dtype=DOUBLE).requires_grad_()
    corners = random_corners(3, seed=8, reach=0.2).requires_grad_()

    def forward(image: Tensor, where: Tensor) -> Tensor:
        return warp(image, from_corners(where), interpolation="bilinear", fill=0.4)

    assert torch.autograd.gradcheck(forward, (x, corners))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_are_sampled_in_full_precision(dtype: torch.dtype) -> None:
    x, m = noise(3, 3, 40, 64, dtype=dtype), from_corners(random_corners(3))
    view = warp(x, m, interpolation="bilinear", fill=0.5)
    assert view.dtype == dtype
    exact = warp(x.double(), m, interpolation="bilinear", fill=0.5)
    assert (view.double() - exact).abs().max() <= torch.finfo(dtype).eps / 2 + 1e-5


def test_autocast_changes_nothing() -> None:
    x, m = noise(3, 3, 20, 20), from_corners(random_corners(3))
    expected = warp(x, m, interpolation="bilinear", fill=0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(warp(x, m, interpolation="bilinear", fill=0.5), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_a_gpu_gives_the_same_without_making_the_host_wait(interpolation) -> None:
    x, m = noise(8, 3, 48, 64), from_corners(random_corners(8))
    on_gpu = x.cuda(), m.cuda()
    warp(*on_gpu, interpolation=interpolation, fill=0.5)
    torch.cuda.set_sync_debug_mode("error")
    try:
        view = warp(*on_gpu, interpolation=interpolation, fill=0.5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = warp(x, m, interpolation=interpolation, fill=0.5)
    torch.testing.assert_close(view.cpu(), expected, rtol=0, atol=2e-5)
