"""Tone kernels: torchvision's pixels, for each sample's own parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from augspec.kernels import tone

DOUBLE = torch.float64
CHANNELS = pytest.mark.parametrize("channels", [1, 3])


@pytest.fixture(scope="module")
def images(photos: list[Path]) -> Tensor:
    """`(28, 3, 40, 48)`: photographs, noise, 8-bit noise, and images of one or two values."""
    crops = [TF.center_crop(decode_image(str(p), ImageReadMode.RGB), [40, 48]) for p in photos[:20]]
    noise = torch.rand(4, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    noise[2:] = (noise[2:] * 255).round() / 255
    plain = torch.zeros(4, 3, 40, 48)
    plain[1:3] += torch.tensor([0.3, 1.0, 0.0]).reshape(3, 1, 1)
    plain[2:, :, :, 10:20] = 0.7
    return torch.cat([torch.stack(crops) / 255, noise, plain])


def draw(low: float, high: float, batch: int = 28, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(batch, generator=generator, dtype=DOUBLE)


def per_image(fn: Callable[..., Tensor], x: Tensor, *values: Tensor) -> Tensor:
    """Torchvision's function, image by image."""
    rows = zip(x, *(value.tolist() for value in values), strict=True)
    return torch.stack([fn(*row) for row in rows])


def assert_close(mine: Tensor, theirs: Tensor, atol: float) -> None:
    torch.testing.assert_close(mine, theirs, atol=atol, rtol=0)


@CHANNELS
def test_gamma_matches_torchvision(images: Tensor, channels: int) -> None:
    x, exponent = images[:, :channels], draw(0.1, 4.0)
    exponent[:3] = torch.tensor([0.5, 2.0, 1.0])
    assert_close(tone.gamma(x, exponent), per_image(TF.adjust_gamma, x, exponent), 1e-6)


def test_gamma_has_finite_gradients_on_black_and_outside_the_range() -> None:
    """The derivative of x ** g at 0 is infinite for g < 1, and NaN below 0."""
    values = [0.0, -0.1, 1e-45, 1e-38, 1e-30, 0.5, 1.0, 1.2]
    x = torch.tensor(values).expand(4, 1, 1, 8).clone().requires_grad_()
    exponent = torch.tensor([0.01, 0.5, 1.0, 3.0], dtype=DOUBLE, requires_grad=True)
    out = tone.gamma(x, exponent)
    out.sum().backward()
    assert x.grad is not None and exponent.grad is not None
    assert torch.isfinite(out).all()
    assert torch.isfinite(x.grad).all() and torch.isfinite(exponent.grad).all()
    assert (out[[0, 1, 3], ..., :2] == 0).all() and torch.equal(out[2], x[2])
    assert (x.grad[[0, 1, 3], ..., :2] == 0).all() and (x.grad[..., 5:] > 0).all()


def test_a_black_image_stays_black_through_gamma() -> None:
    x = torch.zeros(3, 3, 4, 4, requires_grad=True)
    exponent = torch.tensor([0.3, 1.0, 2.0], dtype=DOUBLE, requires_grad=True)
    out = tone.gamma(x, exponent)
    out.sum().backward()
    assert (out == 0).all()
    assert x.grad is not None and exponent.grad is not None
    assert torch.isfinite(x.grad).all() and (exponent.grad == 0).all()


@CHANNELS
def test_sharpness_matches_torchvision(images: Tensor, channels: int) -> None:
    x, factor = images[:, :channels], draw(0.0, 4.0)
    factor[:3] = torch.tensor([0.0, 1.0, 2.0])
    assert_close(tone.sharpness(x, factor), per_image(TF.adjust_sharpness, x, factor), 2e-6)


def test_sharpness_matches_torchvision_outside_the_range_and_on_small_images(
    images: Tensor,
) -> None:
    factor = draw(0.0, 0.9)
    x = images * 1.2 - 0.1  # the outermost pixels are clamped too
    assert_close(tone.sharpness(x, factor), per_image(TF.adjust_sharpness, x, factor), 2e-6)
    assert torch.equal(tone.sharpness(x, torch.ones(28, dtype=DOUBLE)), x)
    for height, width in ((3, 3), (3, 7), (2, 5), (5, 1)):
        small = x[..., :height, :width]
        expected = per_image(TF.adjust_sharpness, small, factor)
        assert_close(tone.sharpness(small, factor), expected, 2e-6)


@CHANNELS
def test_posterize_is_torchvision_bit_by_bit(images: Tensor, channels: int) -> None:
    x = images[:, :channels] * 1.2 - 0.1
    for first in range(9):
        bits = ((torch.arange(28) + first) % 9).double()
        expected = torch.stack(
            [TF.posterize(image, int(n)) for image, n in zip(x, bits.tolist(), strict=True)]
        )
        assert torch.equal(tone.posterize(x, bits), expected)


@CHANNELS
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_equalize_is_torchvision_bit_by_bit(
    images: Tensor, channels: int, dtype: torch.dtype
) -> None:
    """Images of fewer than 256 pixels, which PIL leaves alone, and of two values among them."""
    x = images[:, :channels].to(dtype)
    changed = 0
    for part in (x, x[..., :16, :17], x[..., :16, :16], x[..., :7, :9], x[..., :1, :1]):
        out = tone.equalize(part)
        assert torch.equal(out, per_image(TF.equalize, part))
        changed += int(((out - part).abs() > 0.01).any())
    assert changed >= 2


def test_equalize_flattens_the_histogram_of_each_channel_by_itself() -> None:
    x = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    # narrow ranges of at least 100 levels: a level that holds many pixels cannot be spread
    x = x * 0.4 + torch.tensor([[0.0, 0.3, 0.6], [0.5, 0.1, 0.2]]).reshape(2, 3, 1, 1)
    quantiles = torch.linspace(0.05, 0.95, 19)
    found = tone.equalize(x).flatten(2).quantile(quantiles, dim=-1)
    assert_close(found, quantiles.reshape(-1, 1, 1).expand_as(found), 0.02)
    assert (x.flatten(2).quantile(quantiles, dim=-1) - found).abs().amax(dim=0).min() > 0.2


def test_equalize_clamps_what_lies_outside_the_range(images: Tensor) -> None:
    x = images * 1.4 - 0.2
    assert torch.equal(tone.equalize(x), tone.equalize(x.clamp(0, 1)))


@CHANNELS
def test_autocontrast_is_torchvision_bit_by_bit(images: Tensor, channels: int) -> None:
    for x in (images[:, :channels], images[:, :channels] * 0.5 + 0.2, images * 1.2 - 0.1):
        assert torch.equal(tone.autocontrast(x), per_image(TF.autocontrast, x))


def test_gradient_of_autocontrast_is_shared_by_ties() -> None:
    x = torch.tensor([0.2, 0.2, 0.3, 0.5], dtype=DOUBLE).reshape(1, 1, 2, 2).requires_grad_()
    tone.autocontrast(x)[0, 0, 1, 0].backward()
    # (x - low) / (high - low) at x = 0.3: the two darkest pixels share the gradient of `low`
    assert x.grad is not None
    span = 0.3
    low = (-span + 0.1) / span**2
    expected = torch.tensor([low / 2, low / 2, 1 / span, -0.1 / span**2], dtype=DOUBLE)
    assert_close(x.grad.flatten(), expected, 1e-9)


def test_gradient_of_autocontrast_passes_a_constant_channel() -> None:
    x = torch.full((1, 3, 4, 4), 0.4, requires_grad=True)
    tone.autocontrast(x).sum().backward()
    assert x.grad is not None and (x.grad == 1).all()


def test_invert_is_torchvision_bit_by_bit(images: Tensor) -> None:
    assert torch.equal(tone.invert(images), per_image(TF.invert, images))


@pytest.mark.parametrize("name", ["equalize", "autocontrast", "invert"])
def test_samples_do_not_see_each_other(images: Tensor, name: str) -> None:
    kernel = getattr(tone, name)
    alone = torch.cat([kernel(image[None]) for image in images])
    assert torch.equal(kernel(images), alone)


def loss(name: str, x: Tensor, value: Tensor) -> Tensor:
    out: Tensor = getattr(tone, name)(x, value)
    return out.square()


@pytest.mark.parametrize("name", ["gamma", "sharpness"])
def test_gradients_of_image_and_parameter(name: str) -> None:
    x = draw(0.1, 0.9, 2 * 3 * 5 * 6).reshape(2, 3, 5, 6).requires_grad_()
    value = torch.tensor([0.6, 1.7], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: loss(name, a, b), (x, value))
    (slope,) = torch.autograd.grad(loss(name, x, value).sum(), value)
    assert (slope.abs() > 1e-6).all()


@pytest.mark.gpu
def test_no_kernel_makes_the_host_wait(images: Tensor) -> None:
    x, value = images.cuda(), draw(0.5, 2.0).cuda()
    expected = [
        *(getattr(tone, name)(images, value.cpu()) for name in ("gamma", "sharpness", "posterize")),
        *(getattr(tone, name)(images) for name in ("equalize", "autocontrast", "invert")),
    ]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = [
            *(getattr(tone, name)(x, value) for name in ("gamma", "sharpness", "posterize")),
            *(getattr(tone, name)(x) for name in ("equalize", "autocontrast", "invert")),
        ]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for mine, theirs in zip(found, expected, strict=True):
        assert_close(mine.cpu(), theirs, 1e-5)
