"""The Triton kernel: the pixels of `augspec.kernels.colour`, in one launch or in several.

Every test of pixels runs in Triton's interpreter, and on a GPU where there is one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from triton_interpreter import interpreted

from augspec.kernels import colour
from augspec.kernels.channels import gain
from augspec.kernels.opcodes import Opcode
from augspec.kernels.tone import invert

pytest.importorskip("triton")

Chain = Callable[..., Tensor]
SMALL_BLOCK = 256
"""Two blocks to an image here, the second of them not full."""
ON_COLOURS = (Opcode.SATURATION, Opcode.HUE, Opcode.GRAYSCALE, Opcode.GAIN)
POINTWISE = [code for code in Opcode if code not in (Opcode.NOTHING, Opcode.GAUSSIAN_BLUR)]

STEPS: dict[Opcode, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    Opcode.NOTHING: lambda x, first, second: x,
    Opcode.BRIGHTNESS: lambda x, first, second: colour.brightness(x, first),
    Opcode.CONTRAST: lambda x, first, second: colour.contrast(x, first),
    Opcode.SATURATION: lambda x, first, second: colour.saturation(x, first),
    Opcode.HUE: lambda x, first, second: colour.hue(x, first),
    Opcode.GRAYSCALE: lambda x, first, second: colour.grayscale(x),
    Opcode.SOLARIZE: lambda x, first, second: colour.solarize(x, first),
    Opcode.INVERT: lambda x, first, second: invert(x),
    Opcode.GAIN: lambda x, first, second: gain(x, first, second),
}


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=pytest.mark.gpu)])
def chain(request: pytest.FixtureRequest) -> Chain:
    """Runs the kernel on CPU tensors, or on copies of them on a GPU."""
    from augspec.kernels.triton_chain import run_chain

    def run(x: Tensor, codes: Any, arguments: Tensor, **options: Any) -> Tensor:
        given = (x, torch.as_tensor(codes, dtype=torch.int32), arguments)
        if request.param == "interpreter":
            return interpreted(run_chain, *given, **options)
        return run_chain(*(tensor.cuda() for tensor in given), **options).cpu()

    return run


@pytest.fixture(scope="module")
def images(photos: list[Path]) -> Tensor:
    """Patches `(24, 3, 20, 23)` of photographs, uint8; one of them is black, gray and white."""
    crops = [
        TF.center_crop(decode_image(str(path), ImageReadMode.RGB), [20, 23]) for path in photos[:23]
    ]
    corners = (torch.arange(3 * 20 * 23).reshape(3, 20, 23) * 7 % 5 // 2 * 127).clamp(0, 255)
    return torch.stack([*crops, corners.to(torch.uint8)])


@pytest.fixture(scope="module")
def x(images: Tensor) -> Tensor:
    return images / 255.0


def draw(batch: int, steps: int, seed: int = 0) -> Tensor:
    """Arguments `(batch, steps, 2)` in [0, 2)."""
    return 2.0 * torch.rand(batch, steps, 2, generator=torch.Generator().manual_seed(seed))


def reference(x: Tensor, codes: Sequence[Sequence[int]], arguments: Tensor) -> Tensor:
    """The plain kernels, sample by sample and step by step."""
    out = []
    for image, own, values in zip(x.split(1), codes, arguments, strict=True):
        for code, value in zip(own, values, strict=True):
            image = STEPS[Opcode(code)](image, value[:1], value[1:])
        out.append(image)
    return torch.cat(out)


def assert_close(mine: Tensor, theirs: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(mine, theirs, atol=atol, rtol=0)


@pytest.mark.parametrize("block", [None, SMALL_BLOCK])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("code", POINTWISE, ids=lambda code: code.name.lower())
def test_every_step(
    chain: Chain, x: Tensor, code: Opcode, channels: int, block: int | None
) -> None:
    x, arguments = x[:6, :channels] * 1.2 - 0.1, draw(6, 1) * 0.9
    found = chain(x, [[code]] * 6, arguments, contrasts=1, block=block)
    assert_close(found, reference(x, [[code]] * 6, arguments))
    if channels == 1 and code in ON_COLOURS:
        assert torch.equal(found, x)
    else:
        assert (found - x).abs().max() > 0.1


@pytest.mark.parametrize("block", [None, SMALL_BLOCK])
@pytest.mark.parametrize("stretch", [1.0, 1.2])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_24_orders_of_a_jitter(
    chain: Chain, x: Tensor, channels: int, stretch: float, block: int | None
) -> None:
    """Stretched, as bicubic crops overshoot [0, 1]; with negative hues."""
    x = x[:, :channels] * stretch - (stretch - 1.0) / 2
    orders, values = torch.tensor(list(permutations(range(4)))), draw(24, 4)[..., 0]
    values[:, 3] -= 1.0
    codes = torch.where(values.gather(1, orders) == 1.0, 0, orders + int(Opcode.BRIGHTNESS))
    arguments = torch.stack([values.gather(1, orders), torch.zeros(24, 4)], dim=-1)
    found = chain(x, codes, arguments, contrasts=1, block=block)
    assert_close(found, colour.jitter(x, *values.T, orders))


@pytest.mark.parametrize("block", [None, SMALL_BLOCK])
def test_long_chains_with_none_to_three_contrasts(
    chain: Chain, x: Tensor, block: int | None
) -> None:
    generator = torch.Generator().manual_seed(3)
    # a threshold in the middle of a chain would tell rounding errors apart
    free = [code for code in STEPS if code not in (Opcode.SOLARIZE, Opcode.CONTRAST)]
    codes = torch.tensor(free)[torch.randint(len(free), (12, 7), generator=generator)]
    codes[:, 0] = int(Opcode.SOLARIZE)
    for sample, own in enumerate(codes):
        own[2 : 2 + 2 * (sample % 4) : 2] = int(Opcode.CONTRAST)
    arguments = 0.5 + draw(12, 7, seed=4) / 2
    found = chain(x[:12], codes, arguments, contrasts=3, block=block)
    assert_close(found, reference(x[:12], codes.tolist(), arguments))


def test_nothing_leaves_a_sample_bit_equal(chain: Chain, x: Tensor) -> None:
    codes = [[Opcode.NOTHING] * 2, [Opcode.INVERT, Opcode.CONTRAST]]
    found = chain(x[:2], codes, draw(2, 2), contrasts=1, block=SMALL_BLOCK)
    assert torch.equal(found[0], x[0]) and not torch.equal(found[1], x[1])


def test_bytes_are_divided_exactly(chain: Chain) -> None:
    """By 255, as on a CPU: a threshold of 128/255 is a pixel's own value."""
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    none = torch.empty(1, 0, 2)
    assert torch.equal(chain(every, torch.empty(1, 0), none, contrasts=0), every / 255.0)
    threshold = torch.full((1, 1, 2), 128 / 255)
    found = chain(every, [[Opcode.SOLARIZE]], threshold, contrasts=0)
    assert torch.equal(found, colour.solarize(every / 255.0, threshold[0, 0, :1]))


STRIDED: dict[str, Callable[[Tensor], Tensor]] = {
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "a window": lambda x: x[:, :, 3:, 2:-4],
    "every second column": lambda x: x[..., ::2],
    "on its side": lambda x: x.mT,
    "every second sample": lambda x: x[::2],
    "one image for all": lambda x: x[:1].expand(4, -1, -1, -1),
    "one row": lambda x: x[:, :, 4:5],
    "one column": lambda x: x[..., 4:5],
    "one channel of three": lambda x: x[:, 1:2],
}


@pytest.mark.parametrize("block", [None, SMALL_BLOCK])
@pytest.mark.parametrize("name", STRIDED)
def test_strides(chain: Chain, images: Tensor, name: str, block: int | None) -> None:
    given = STRIDED[name](images[:5])
    codes = [[Opcode.CONTRAST, Opcode.HUE, Opcode.CONTRAST]] * len(given)
    arguments = draw(len(given), 3) * 0.8
    found = chain(given, codes, arguments, contrasts=2, block=block)
    plain = chain(given.clone().contiguous(), codes, arguments, contrasts=2, block=block)
    assert torch.equal(found, plain)
    assert_close(found, reference(given / 255.0, codes, arguments))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("numbers", [1, 3])
def test_what_comes_out(
    request: pytest.FixtureRequest,
    chain: Chain,
    images: Tensor,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
    numbers: int,
) -> None:
    mean, std = (0.5, 0.4, 0.3)[:numbers], (0.2, 0.25, 0.3)[:numbers]
    options = {"dtype": dtype, "memory_format": memory_format, "mean": mean, "std": std}
    found = chain(images[:4], [[Opcode.INVERT]] * 4, draw(4, 1), contrasts=0, **options)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=memory_format)
    centred = 1.0 - images[:4] / 255.0 - torch.tensor(mean)[:, None, None]
    expected = centred / torch.tensor(std)[:, None, None]
    # to the nearest, but Triton's interpreter cuts bfloat16 off, an epsilon below at most
    cut = "interpreter" in request.node.name and dtype == torch.bfloat16
    atol, rtol = 1e-6, 0.0
    if dtype != torch.float32:
        rtol = torch.finfo(dtype).eps * (1.01 if cut else 0.51)
    torch.testing.assert_close(found.float(), expected, atol=atol, rtol=rtol)


def test_a_sample_is_the_same_in_any_batch(chain: Chain, images: Tensor) -> None:
    codes = torch.tensor([[Opcode.HUE, Opcode.CONTRAST, Opcode.GRAYSCALE]] * 7)
    arguments = draw(7, 3)
    whole = chain(images[:7], codes, arguments, contrasts=1, block=SMALL_BLOCK)
    for part in (slice(0, 1), slice(3, 7)):
        own = chain(images[part], codes[part], arguments[part], contrasts=1, block=SMALL_BLOCK)
        assert torch.equal(own, whole[part])


def test_more_contrasts_than_said_leave_no_picture(chain: Chain, x: Tensor) -> None:
    codes = [[Opcode.CONTRAST, Opcode.NOTHING], [Opcode.CONTRAST, Opcode.CONTRAST]]
    found = chain(x[:2], codes, draw(2, 2) + 0.1, contrasts=1, block=SMALL_BLOCK)
    assert found[0].max() > 0.1 and found[1].eq(0).all()


def test_an_empty_batch(chain: Chain, x: Tensor) -> None:
    assert chain(x[:0], torch.empty(0, 3), torch.empty(0, 3, 2), contrasts=1).shape == x[:0].shape


def test_a_number_of_channels_that_there_is_not(chain: Chain, x: Tensor) -> None:
    with pytest.raises(ValueError, match="must have 1 or 3 channels, got 2"):
        chain(x[:, :2], [[Opcode.INVERT]] * 24, draw(24, 1), contrasts=0)


@pytest.mark.gpu
def test_the_same_call_gives_the_same_bits(images: Tensor) -> None:
    from augspec.kernels.triton_chain import run_chain

    given = images.repeat(40, 1, 6, 6).cuda()
    codes = torch.full((len(given), 2), int(Opcode.CONTRAST), dtype=torch.int32, device="cuda")
    arguments = draw(len(given), 2).cuda()
    first = run_chain(given, codes, arguments, contrasts=2)
    assert all(torch.equal(run_chain(given, codes, arguments, contrasts=2), first) for _ in "abc")


COMPILE = """
import torch
import triton
from triton.backends.compiler import GPUTarget

from augspec.kernels import triton_chain


class Driver:  # tells Triton of a GPU, so that it compiles for that
    def get_current_target(self):
        return GPUTarget("cuda", 80, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


class Compiles:  # a kernel that is compiled for each launch, and not launched
    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return lambda *args, **options: self.kernel.warmup(*args, grid=grid, **options)


def compiled(batch, size, image, **options):
    x = torch.zeros(batch, *size, dtype=image)
    codes, arguments = torch.zeros(batch, 5, dtype=torch.int32), torch.zeros(batch, 5, 2)
    triton_chain.run_chain(x, codes, arguments, **options)
    return len(kernel.device_caches[0][0])


triton.runtime.driver.set_active(Driver())
kernel = triton_chain._chain
triton_chain._chain = Compiles(kernel)
sizes = [(512, 3, 32, 32), (2, 3, 100, 75), (16, 1, 64, 64)]
options = dict(contrasts=2, dtype=torch.bfloat16, memory_format=torch.channels_last, mean=[0.5])
for batch, *size in sizes:
    before = len(kernel.device_caches[0][0])
    first = compiled(batch, size, torch.uint8, **options)
    assert first > before, size
    for other in (1, 3, 15, 1000):
        assert compiled(other, size, torch.uint8, **options) == first, (size, other)
print(first)
"""


def test_it_compiles_for_a_gpu_and_not_again_for_another_batch(tmp_path: Path) -> None:
    """Down to machine code, without a GPU."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        capture_output=True,
        text=True,
        env={**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"},
    )
    assert done.returncode == 0, done.stderr
    # both small sizes in a launch, the larger one in sums and a result
    assert int(done.stdout) == 4, done.stderr
