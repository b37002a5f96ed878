"""Gaussian blur: torchvision's pixels for each sample's own sigma."""

from pathlib import Path

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torchvision.io import ImageReadMode, decode_image

from augspec.kernels.blur import gaussian_blur, gaussian_weights

SIGMAS = torch.tensor([0.1, 0.7, 1.3, 2.0], dtype=torch.float64)


def noise(*shape: int, dtype: torch.dtype = torch.float32, requires_grad: bool = False):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x.requires_grad_(requires_grad)


@pytest.mark.parametrize("kernel", [1, 3, 9, 23])
@pytest.mark.parametrize("channels", [1, 3])
def test_matches_torchvision(photos: list[Path], kernel: int, channels: int) -> None:
    mode = ImageReadMode.RGB if channels == 3 else ImageReadMode.GRAY
    images = [TF.center_crop(decode_image(str(path), mode), [61, 48]) for path in photos[:4]]
    x = torch.stack(images) / 255.0
    expected = [
        TF.gaussian_blur(image, [kernel, kernel], [sigma])
        for image, sigma in zip(x, SIGMAS.tolist(), strict=True)
    ]
    torch.testing.assert_close(
        gaussian_blur(x, SIGMAS, kernel), torch.stack(expected), atol=1e-5, rtol=0
    )


def test_a_sigma_of_zero_keeps_every_bit() -> None:
    x = noise(3, 3, 8, 8)
    sigma = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    for run in (gaussian_blur, torch.compile(gaussian_blur, fullgraph=True, backend="eager")):
        blurred = run(x, sigma, 5)
        assert torch.equal(blurred[[0, 2]], x[[0, 2]])
        assert (blurred[1] - x[1]).abs().max() > 0.05


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_finite_where_nothing_is_blurred(compiled: bool) -> None:
    run = torch.compile(gaussian_blur, fullgraph=True, backend="aot_eager") if compiled else None
    x = noise(3, 3, 8, 8, requires_grad=True)
    sigma = torch.tensor([0.0, 1.0, 1e-3], dtype=torch.float64, requires_grad=True)
    (run or gaussian_blur)(x, sigma, 5).square().sum().backward()
    assert x.grad.isfinite().all()
    assert sigma.grad.isfinite().all()
    assert sigma.grad[1] != 0.0
    torch.testing.assert_close(x.grad[0], 2.0 * x.detach()[0])


def test_gradients_are_the_derivatives() -> None:
    x = noise(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([0.6, 1.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda image, s: gaussian_blur(image, s, 5), (x, sigma))


def test_weights_are_those_of_the_density() -> None:
    weights = gaussian_weights(SIGMAS, 7)
    density = torch.exp(-0.5 * (torch.arange(-3, 4) / SIGMAS[:, None]) ** 2)
    torch.testing.assert_close(weights, density / density.sum(dim=1, keepdim=True))


@pytest.mark.parametrize("kernel", [0, 4, -3])
def test_even_kernels_are_refused(kernel: int) -> None:
    with pytest.raises(ValueError, match=f"kernel is {kernel} pixels; allowed: odd"):
        gaussian_blur(noise(1, 3, 8, 8), torch.ones(1), kernel)


def test_the_largest_kernel_of_an_image_works_and_the_next_is_refused() -> None:
    x, sigma = noise(1, 3, 8, 6), torch.ones(1, dtype=torch.float64)
    expected = TF.gaussian_blur(x, [11, 11], [1.0])
    torch.testing.assert_close(gaussian_blur(x, sigma, 11), expected, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="shorter side is 6; allowed: odd numbers up to 11"):
        gaussian_blur(x, sigma, 13)


def test_autocast_does_not_lower_the_precision() -> None:
    x = noise(4, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = gaussian_blur(x, SIGMAS, 5)
    assert torch.equal(inside, gaussian_blur(x, SIGMAS, 5))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_pixels_without_waiting_for_it() -> None:
    x, sigma = noise(4, 3, 32, 32).cuda(), SIGMAS.cuda()
    gaussian_blur(x, sigma, 9)
    torch.cuda.set_sync_debug_mode("error")
    try:
        blurred = gaussian_blur(x, sigma, 9)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = gaussian_blur(x.cpu(), SIGMAS, 9)
    torch.testing.assert_close(blurred.cpu(), expected, atol=1e-5, rtol=0)
