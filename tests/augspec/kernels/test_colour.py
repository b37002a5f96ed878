"""Colour kernels: torchvision's pixels, for each sample's own parameters and order."""

from itertools import permutations
from pathlib import Path

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from hypothesis import given
from hypothesis import strategies as st
from torchvision.io import ImageReadMode, decode_image

from augspec.kernels import colour

DOUBLE = torch.float64
TORCHVISION = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue)
NEUTRAL = (1.0, 1.0, 1.0, 0.0)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(scope="module")
def images(photos: list[Path]) -> torch.Tensor:
    """Patches `(24, 3, 20, 24)` of photographs, among them black, gray and saturated pixels."""
    crops = [
        TF.center_crop(decode_image(str(path), ImageReadMode.RGB), [20, 24]) for path in photos[:23]
    ]
    corners = (torch.arange(3 * 20 * 24).reshape(3, 20, 24) * 7 % 5 // 2 * 127).clamp(0, 255)
    return torch.stack([*crops, corners.to(torch.uint8)]) / 255.0


def reference(x: torch.Tensor, params: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Torchvision's ColorJitter for samples with `params` `(B, 4)`; neutral steps are skipped."""
    out = []
    for image, values, steps in zip(x, params.tolist(), order.tolist(), strict=True):
        for step in steps:
            if values[step] != NEUTRAL[step]:
                image = TORCHVISION[step](image, values[step])
        out.append(image)
    return torch.stack(out)


def draw(batch: int, seed: int = 0) -> torch.Tensor:
    """Strong jitter parameters `(batch, 4)`: factors in [0, 2], shifts in [-0.5, 0.5]."""
    params = 2.0 * noise(batch, 4, seed=seed, dtype=DOUBLE)
    params[:, 3] = (params[:, 3] - 1.0) / 2.0
    return params


def assert_close(mine: torch.Tensor, theirs: torch.Tensor, atol: float) -> None:
    torch.testing.assert_close(mine, theirs, atol=atol, rtol=0)


@pytest.mark.parametrize("step", range(4), ids=colour.STEPS)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_step_matches_torchvision(images: torch.Tensor, step: int, channels: int) -> None:
    x, values = images[:, :channels], draw(len(images))[:, step]
    expected = [TORCHVISION[step](*pair) for pair in zip(x, values.tolist(), strict=True)]
    assert_close(getattr(colour, colour.STEPS[step])(x, values), torch.stack(expected), 1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_matches_torchvision_in_all_24_orders(images: torch.Tensor, channels: int) -> None:
    x, order = images[:, :channels], torch.tensor(list(permutations(range(4))))
    for seed in range(4):
        params = draw(24, seed)
        assert_close(colour.jitter(x, *params.T, order), reference(x, params, order), 1e-4)


def test_jitter_matches_torchvision_outside_the_unit_range(images: torch.Tensor) -> None:
    """Bicubic crops overshoot; torchvision clamps that late, and hue not at all."""
    x, order = images * 1.2 - 0.1, torch.tensor(list(permutations(range(4))))
    params = draw(24)
    params[torch.arange(24), torch.arange(24) % 4] = torch.tensor(NEUTRAL * 6, dtype=DOUBLE)
    assert_close(colour.jitter(x, *params.T, order), reference(x, params, order), 1e-4)


def test_samples_do_not_see_each_other(images: torch.Tensor) -> None:
    params, order = draw(24), torch.tensor(list(permutations(range(4))))
    together = colour.jitter(images, *params.T, order)
    alone = [
        colour.jitter(images[i : i + 1], *params[i : i + 1].T, order[i : i + 1]) for i in range(24)
    ]
    assert_close(together, torch.cat(alone), 1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_neutral_factors_keep_every_bit(images: torch.Tensor, compiled: bool) -> None:
    run = torch.compile(colour.jitter, fullgraph=True, backend="eager") if compiled else None
    order = torch.tensor(list(permutations(range(4))))
    params = torch.tensor(NEUTRAL, dtype=DOUBLE).repeat(24, 1)
    params[::2, 3] = -2.0  # whole turns
    params[5] = draw(1)[0]
    x = images * 1.2 - 0.1  # nor are pixels outside [0, 1] touched
    out = (run or colour.jitter)(x, *params.T, order)
    others = [row for row in range(24) if row != 5]
    assert torch.equal(out[others], x[others])
    assert not torch.equal(out[5], x[5])


@given(shift=st.floats(-0.5, 0.5), turns=st.integers(-3, 3), seed=st.integers(0, 99))
def test_hue_has_period_one_and_an_inverse(shift: float, turns: int, seed: int) -> None:
    x, s = noise(1, 3, 4, 4, seed=seed), torch.tensor([shift], dtype=DOUBLE)
    assert_close(colour.hue(x, s + turns), colour.hue(x, s), 1e-5)
    assert_close(colour.hue(colour.hue(x, s), -s), x, 1e-5)
    assert_close(colour.hue(x, s * 0.0), x, 1e-6)


def test_grayscale_and_luma_match_torchvision(images: torch.Tensor) -> None:
    assert_close(colour.grayscale(images), TF.rgb_to_grayscale(images, 3), 1e-6)
    assert_close(colour.luma(images), TF.rgb_to_grayscale(images, 1), 1e-6)
    one = images[:, :1]
    assert torch.equal(colour.grayscale(one), one)


def test_solarize_is_torchvision_bit_by_bit(images: torch.Tensor) -> None:
    thresholds = torch.tensor([0.0, 128 / 255, 0.5, 1.0, 0.3, 0.7], dtype=DOUBLE).repeat(4)
    pairs = zip(images, thresholds.tolist(), strict=True)
    expected = torch.stack([TF.solarize(image, threshold) for image, threshold in pairs])
    assert torch.equal(colour.solarize(images, thresholds), expected)
    assert torch.equal(colour.solarize(images, torch.full((24,), 1.01, dtype=DOUBLE)), images)


@pytest.mark.parametrize("step", range(4), ids=colour.STEPS)
def test_gradients_are_the_derivatives(step: int) -> None:
    x = (0.1 + 0.4 * noise(3, 3, 3, 2, dtype=DOUBLE)).requires_grad_()
    values = torch.tensor([0.8, 1.3, 0.21], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(getattr(colour, colour.STEPS[step]), (x, values))


def test_jitter_gradients_are_the_derivatives() -> None:
    x = (0.2 + 0.4 * noise(4, 3, 2, 2, dtype=DOUBLE)).requires_grad_()
    order = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]])
    params = [(0.9 + 0.2 * noise(4, seed=k, dtype=DOUBLE)).requires_grad_() for k in range(4)]
    assert torch.autograd.gradcheck(lambda *a: colour.jitter(*a, order), (x, *params))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_gradients_are_finite_at_gray_and_nearly_gray_pixels(
    dtype: torch.dtype, level: float
) -> None:
    x = torch.full((2, 3, 2, 2), level, dtype=dtype)
    x[1, 1] += 1e-30
    x[1, 2, 0] += torch.finfo(dtype).eps
    x.requires_grad_()
    shift = torch.tensor([0.2, -0.4], dtype=DOUBLE, requires_grad=True)
    colour.hue(x, shift).square().sum().backward()
    assert x.grad.isfinite().all()
    assert shift.grad.isfinite().all()


@pytest.mark.parametrize("step", range(3), ids=colour.STEPS[:3])
def test_a_neutral_factor_keeps_its_gradient(step: int) -> None:
    factors = [torch.ones(2, dtype=DOUBLE, requires_grad=True) for _ in range(3)]
    x, order = noise(2, 3, 4, 4), torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])
    colour.jitter(x, *factors, torch.zeros(2, dtype=DOUBLE), order).square().sum().backward()
    assert (factors[step].grad.abs() > 1e-3).all()


def test_compiled_kernels_give_the_same_pixels_and_gradients(images: torch.Tensor) -> None:
    order, values = torch.tensor(list(permutations(range(4)))), draw(24)

    def both(x: torch.Tensor, params: torch.Tensor) -> torch.Tensor:
        return colour.grayscale(colour.solarize(colour.jitter(x, *params.T, order), params[:, 0]))

    results = []
    for run in (both, torch.compile(both, fullgraph=True, backend="aot_eager")):
        x, params = images.clone().requires_grad_(), values.clone().requires_grad_()
        out = run(x, params)
        out.square().sum().backward()
        results.append((out, x.grad, params.grad))
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-3)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_pixels_without_waiting_for_it(images: torch.Tensor) -> None:
    params, order = draw(24), torch.tensor(list(permutations(range(4))))
    there = [tensor.cuda() for tensor in (images, *params.T, order)]
    colour.jitter(*there)
    torch.cuda.set_sync_debug_mode("error")
    try:
        jittered = colour.jitter(*there)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert_close(jittered.cpu(), colour.jitter(images, *params.T, order), 1e-5)
