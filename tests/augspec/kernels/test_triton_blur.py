"""The Triton kernel for blurs: the pixels of `augspec.kernels.blur`.

Every test of pixels runs in Triton's interpreter, and on a GPU where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision.transforms.v2.functional as TF
import triton_compiler
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from triton_interpreter import interpreted

from augspec.kernels.blur import gaussian_blur

pytest.importorskip("triton")

Blur = Callable[[Tensor, Tensor, int], Tensor]
SIGMAS = torch.tensor([0.1, 0.0, 1.3, 4.0], dtype=torch.float64)


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=pytest.mark.gpu)])
def blur(request: pytest.FixtureRequest) -> Blur:
    """Runs the kernel on CPU tensors, or on copies of them on a GPU."""
    from augspec.kernels import triton_blur

    def run(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
        if request.param == "interpreter":
            return interpreted(triton_blur.blur, x, sigma, kernel)
        return triton_blur.blur(x.cuda(), sigma.cuda(), kernel).cpu()

    return run


@pytest.fixture(scope="module")
def images(photos: list[Path]) -> Tensor:
    """Patches `(4, 3, 17, 20)` of photographs, uint8: two blocks each, the second not full."""
    crops = [decode_image(str(path), ImageReadMode.RGB) for path in photos[:4]]
    return torch.stack([TF.center_crop(crop, [17, 20]) for crop in crops])


@pytest.mark.parametrize("kernel", [1, 3, 9, 33])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_has_the_pixels_of_the_reference(
    blur: Blur, images: Tensor, channels: int, kernel: int
) -> None:
    """Up to the largest kernel whose mirrored edges the image has."""
    given = images[:, :channels]
    expected = gaussian_blur(given / 255.0, SIGMAS, kernel)
    for x in (given, given / 255.0):
        found = blur(x, SIGMAS, kernel)
        assert found.is_contiguous()
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
    assert kernel == 1 or (found[3] - given[3] / 255.0).abs().max() > 0.02


def test_a_sigma_of_zero_keeps_every_bit(blur: Blur, images: Tensor) -> None:
    sigma = torch.tensor([0.0, 1.0, 0.0, float("nan")], dtype=torch.float64)
    for given in (images, images / 255.0 * 1.2 - 0.1):
        unit = given / 255.0 if given.dtype == torch.uint8 else given
        found = blur(given, sigma, 5)
        kept = [0, 2, 3]
        assert torch.equal(found[kept], unit[kept])
        assert (found[1] - unit[1]).abs().max() > 0.02


STRIDED: dict[str, Callable[[Tensor], Tensor]] = {
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "a window": lambda x: x[:, :, 3:, 2:-4],
    "every second column": lambda x: x[..., ::2],
    "on its side": lambda x: x.mT,
    "one image for all": lambda x: x[:1].expand(4, -1, -1, -1),
}


@pytest.mark.parametrize("name", STRIDED)
def test_strides(blur: Blur, images: Tensor, name: str) -> None:
    given = STRIDED[name](images)
    found = blur(given, SIGMAS, 7)
    assert torch.equal(found, blur(given.clone(memory_format=torch.contiguous_format), SIGMAS, 7))
    expected = gaussian_blur(given / 255.0, SIGMAS, 7)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


def test_a_sample_is_the_same_in_any_batch(blur: Blur, images: Tensor) -> None:
    whole = blur(images, SIGMAS, 9)
    for part in (slice(0, 1), slice(1, 4)):
        assert torch.equal(blur(images[part], SIGMAS[part], 9), whole[part])


def test_an_empty_batch_and_kernels_that_there_are_not(blur: Blur, images: Tensor) -> None:
    assert blur(images[:0], SIGMAS[:0], 3).shape == (0, 3, 17, 20)
    with pytest.raises(ValueError, match="kernel is 4 pixels; allowed: odd numbers from 1"):
        blur(images, SIGMAS, 4)
    with pytest.raises(ValueError, match="shorter side is 17; allowed: odd numbers up to 33"):
        blur(images, SIGMAS, 35)


COMPILE = """
import torch
from triton_compiler import Compiled

from augspec.kernels import triton_blur

kernel = Compiled(triton_blur, "_blur")


def run(batch, size, kernel_size):
    triton_blur.blur(torch.zeros(batch, 3, *size), torch.ones(batch).double(), kernel_size)
    return kernel.count


first = run(512, (64, 48), 23)
for batch, kernel_size in ((1, 23), (3, 3), (1000, 31)):
    assert run(batch, (64, 48), kernel_size) == first, (batch, kernel_size)
print(first)
"""


def test_it_compiles_for_a_gpu_and_not_again_for_another_batch_or_kernel(tmp_path: Path) -> None:
    """Down to machine code, without a GPU: one form for rows, and one for columns."""
    assert triton_compiler.run(COMPILE, tmp_path) == ["2"]
