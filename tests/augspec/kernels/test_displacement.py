"""Displacements: torchvision's elastic transform and Kornia's thin plate spline."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from kornia.geometry.transform import get_tps_transform, warp_image_tps
from torch import Tensor
from torchvision.transforms import InterpolationMode

from augspec.kernels.displacement import (
    displace,
    elastic_displacement,
    spline_weights,
    thin_plate_spline,
)

CORNERS = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]
MODES = {"bilinear": InterpolationMode.BILINEAR, "nearest": InterpolationMode.NEAREST}


def rand(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def torchvision_displacement(noise: Tensor, alpha: float, sigma: float, kernel: int) -> Tensor:
    """The lines of `ElasticTransform.make_params` after the draw, for noise `(2, H, W)`."""
    height, width = noise.shape[-2:]
    dx, dy = (TF.gaussian_blur(n[None, None], [kernel] * 2, [sigma] * 2) for n in noise)
    field = torch.concat([dx * alpha / width, dy * alpha / height], 1)
    return field.permute(0, 2, 3, 1)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_the_same_noise_gives_torchvisions_elastic_transform(
    interpolation: str, fill: float
) -> None:
    x, noise = rand(4, 3, 25, 31), 2 * rand(4, 2, 25, 31, seed=1) - 1
    alpha = torch.tensor([50.0, 12.0, 90.0, 30.0], dtype=torch.float64)
    sigma = torch.tensor([5.0, 1.0, 2.5, 4.0], dtype=torch.float64)
    field = elastic_displacement(noise, alpha, sigma, 41)
    view = displace(x, field, interpolation, fill)
    for i, (a, s) in enumerate(zip(alpha.tolist(), sigma.tolist(), strict=True)):
        theirs = torchvision_displacement(noise[i], a, s, 41)
        torch.testing.assert_close(field[i], theirs[0], rtol=0, atol=1e-6)
        # the same field: what is left is the sampling, where `nearest` allows no difference
        expected = TF.elastic(x[i], field[i, None], MODES[interpolation], fill=fill)
        torch.testing.assert_close(view[i], expected, rtol=0, atol=1e-5)
        if interpolation == "bilinear":
            expected = TF.elastic(x[i], theirs, MODES[interpolation], fill=fill)
            torch.testing.assert_close(view[i], expected, rtol=0, atol=1e-4)
    assert (view != x).flatten(1).any(dim=1).all()


def test_the_kernel_reaches_no_further_than_the_image_is_mirrored() -> None:
    noise, one = 2 * rand(1, 2, 6, 9) - 1, torch.ones(1, dtype=torch.float64)
    field = elastic_displacement(noise, 10 * one, 5 * one, 41)
    assert torch.equal(field, elastic_displacement(noise, 10 * one, 5 * one, 11))


@pytest.mark.parametrize("size", [(17, 23), (32, 32)])
def test_the_same_points_give_kornias_thin_plate_spline(size: tuple[int, int]) -> None:
    x = rand(8, 3, *size, dtype=torch.float64)
    moves = (2 * rand(8, 5, 2, seed=2, dtype=torch.float64) - 1) * 0.4
    points = torch.tensor(CORNERS, dtype=torch.float64).expand(8, -1, -1)
    kernel, affine = get_tps_transform(points + moves, points)
    ours = spline_weights(points + moves, points[0])
    torch.testing.assert_close(ours, torch.cat([kernel, affine], dim=1), rtol=0, atol=1e-10)
    view = thin_plate_spline(x, *moves.unbind(-1))
    expected = warp_image_tps(x, points, kernel, affine)
    torch.testing.assert_close(view, expected, rtol=0, atol=1e-8)
    single = thin_plate_spline(x.float(), *moves.unbind(-1))
    torch.testing.assert_close(single, expected.float(), rtol=0, atol=2e-5)
    assert (view - x).abs().flatten(1).amax(dim=1).min() > 0.1


def test_moving_every_point_alike_shifts_the_image() -> None:
    x = rand(1, 3, 8, 10)
    dx = torch.full((1, 5), 2 * 2 / 10, dtype=torch.float64)  # two pixels to the right
    dy = torch.full((1, 5), -2 * 3 / 8, dtype=torch.float64)  # three pixels up
    shifted = torch.full_like(x, 0.5)
    shifted[..., :5, 2:] = x[..., 3:, :-2]
    torch.testing.assert_close(thin_plate_spline(x, dx, dy, 0.5), shifted, rtol=0, atol=1e-5)


def test_what_comes_from_outside_is_filled() -> None:
    x, zero = torch.ones(1, 1, 8, 8), torch.zeros(1, 5, dtype=torch.float64)
    far = torch.tensor([[0.45, 0.45, -0.45, -0.45, 0.0]], dtype=torch.float64)  # corners inwards
    view = thin_plate_spline(x, far, zero, fill=0.25)
    assert torch.equal(view[0, 0, :, 0], torch.full((8,), 0.25))
    torch.testing.assert_close(view[0, 0, 3:5, 3:5], torch.ones(2, 2))


def test_gradients_are_the_derivatives() -> None:
    x = rand(2, 1, 5, 6, dtype=torch.float64).requires_grad_()
    dx, dy = (
        ((rand(2, 5, seed=k, dtype=torch.float64) - 0.5) * 0.3).requires_grad_() for k in (1, 2)
    )
    assert torch.autograd.gradcheck(thin_plate_spline, (x, dx, dy))
    noise = 2 * rand(2, 2, 5, 6, seed=3, dtype=torch.float64) - 1
    alpha = torch.tensor([3.0, 8.0], dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([0.8, 1.7], dtype=torch.float64, requires_grad=True)

    def elastic(image: Tensor, a: Tensor, s: Tensor) -> Tensor:
        return displace(image, elastic_displacement(noise, a, s, 7), "bilinear", 0.5)

    assert torch.autograd.gradcheck(elastic, (x, alpha, sigma))


def test_gradients_at_rest_are_finite() -> None:
    still = torch.zeros(2, 5, dtype=torch.float64, requires_grad=True)
    thin_plate_spline(rand(2, 3, 8, 8), still, still).square().sum().backward()
    assert still.grad.isfinite().all()
    assert (still.grad != 0).any()


@pytest.mark.gpu
def test_a_gpu_gives_the_same_pixels_without_waiting_for_it() -> None:
    x, noise = rand(4, 3, 32, 32), 2 * rand(4, 2, 32, 32, seed=1) - 1
    dx, dy = (0.4 * rand(4, 5, seed=k, dtype=torch.float64) - 0.2 for k in (2, 3))
    alpha, sigma = (torch.full((4,), value, dtype=torch.float64) for value in (20.0, 2.0))
    inputs = (x, noise, alpha, sigma, dx, dy)

    def run(x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor, dx: Tensor, dy: Tensor):
        moved = displace(x, elastic_displacement(noise, alpha, sigma, 17), "bilinear", 0.5)
        return moved, thin_plate_spline(x, dx, dy, 0.5)

    on_gpu = [value.cuda() for value in inputs]
    run(*on_gpu)  # the first call loads libraries
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = run(*on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for ours, expected in zip(found, run(*inputs), strict=True):
        torch.testing.assert_close(ours.cpu(), expected, rtol=0, atol=1e-4)
