"""The Triton kernel for resamples: the pixels of `augspec.kernels.resample`.

Every test of pixels runs in Triton's interpreter, and on a GPU where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest
import torch
import torchvision.transforms.v2.functional as TF
import triton_compiler
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from triton_interpreter import interpreted

from augspec.kernels.opcodes import Filter
from augspec.kernels.resample import crop_resize
from augspec.kernels.taps import Taps, window_taps

pytest.importorskip("triton")

Resample = Callable[..., Tensor]
H, W = 18, 21
SMOOTH = (Filter.NEAREST, Filter.BILINEAR, Filter.BICUBIC)


@pytest.fixture(params=["interpreter", pytest.param("cuda", marks=pytest.mark.gpu)])
def resample(request: pytest.FixtureRequest) -> Resample:
    """Runs the kernel on CPU tensors, or on copies of them on a GPU."""
    from augspec.kernels import triton_resample

    def run(x: Tensor, rows: Taps, columns: Taps, source: Tensor | None = None) -> Tensor:
        if request.param == "interpreter":
            return interpreted(triton_resample.resample, x, rows, columns, source)
        there = [Taps(*(tensor.cuda() for tensor in astuple(taps))) for taps in (rows, columns)]
        source = None if source is None else source.cuda()
        return triton_resample.resample(x.cuda(), *there, source).cpu()

    return run


@pytest.fixture(scope="module")
def images(photos: list[Path]) -> Tensor:
    """Patches `(5, 3, H, W)` of photographs, uint8."""
    crops = [decode_image(str(path), ImageReadMode.RGB) for path in photos[:5]]
    return torch.stack([TF.center_crop(crop, [H, W]) for crop in crops])


BOXES = torch.tensor(
    [
        [0.0, H, 0.0, W],
        [3.0, 9.0, 1.0, 20.0],
        [0.4, 17.7, 8.25, 9.5],
        [11.0, 12.0, 0.0, W],
        [2.5, 12.0, 3.0, 13.5],
    ],
    dtype=torch.float64,
)


def of_boxes(
    how: Filter, antialias: bool, size: tuple[int, int], flips: bool = False
) -> tuple[Taps, Taps]:
    """The taps that resample five `BOXES`, and mirror every second one in both axes if asked."""
    none = torch.zeros(5, dtype=torch.int64)
    flipped = torch.arange(5) % 2 * flips
    rows, columns = (
        window_taps(
            how,
            antialias,
            BOXES[:, 2 * axis],
            BOXES[:, 2 * axis + 1],
            (H, W)[axis],
            size[axis],
            none,
            flipped,
            size[axis],
        )
        for axis in range(2)
    )
    return rows, columns


def copies(
    sides: tuple[int, int], corners: list[tuple[int, int]], size: tuple[int, int]
) -> tuple[Taps, Taps]:
    """The taps of windows into images."""
    zero = torch.zeros(len(corners), dtype=torch.float64)
    none = torch.zeros(len(corners), dtype=torch.int64)
    rows, columns = (
        window_taps(
            Filter.COPY,
            False,
            zero,
            zero + sides[axis],
            sides[axis],
            sides[axis],
            torch.tensor([corner[axis] for corner in corners]),
            none,
            size[axis],
        )
        for axis in range(2)
    )
    return rows, columns


def reference(x: Tensor, how: Filter, antialias: bool, size: tuple[int, int]) -> Tensor:
    mode = how.name.lower()
    return crop_resize(x / 255.0, *BOXES.T, size, interpolation=mode, antialias=antialias)  # type: ignore[arg-type]


def assert_close(mine: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [(7, 33), (19, 9)])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("how", SMOOTH, ids=lambda how: how.name.lower())
def test_boxes_have_the_pixels_of_the_matrices(
    resample: Resample, images: Tensor, how: Filter, antialias: bool, size: tuple[int, int]
) -> None:
    """Within several tiles, the last of them not full; half of the samples mirrored."""
    found = resample(images, *of_boxes(how, antialias, size, flips=True))
    expected = reference(images, how, antialias, size)
    expected[1::2] = expected[1::2].flip((-2, -1))
    assert_close(found, expected)


@pytest.mark.parametrize("how", SMOOTH, ids=lambda how: how.name.lower())
@pytest.mark.parametrize("channels", [1, 3])
def test_the_whole_image_at_its_own_size_is_copied_bit_by_bit(
    resample: Resample, images: Tensor, how: Filter, channels: int
) -> None:
    taps = of_boxes(how, True, (H, W))
    for given in (images[:, :channels], images[:, :channels] / 255.0 * 1.2 - 0.1):
        unit = given / 255.0 if given.dtype == torch.uint8 else given
        found = resample(given, *taps)
        assert found.is_contiguous() and torch.equal(found[0], unit[0])
        assert not torch.equal(found[1], unit[1])


def test_windows_show_pixels_as_they_are_and_black_around_them(
    resample: Resample, images: Tensor
) -> None:
    corners = [(0, 0), (2, 5), (-3, -4), (10, 12), (40, 0)]
    found = resample(images, *copies((H, W), corners, (12, 14)))
    padded = torch.nn.functional.pad(images / 255.0, (50, 50, 50, 50))
    for own, image, (top, left) in zip(found, padded, corners, strict=True):
        assert torch.equal(own, image[:, 50 + top : 62 + top, 50 + left : 64 + left])
    assert found[4].eq(0).all()


def test_several_views_of_one_image_and_none_of_another(resample: Resample, images: Tensor) -> None:
    source = torch.tensor([1, 1, 4, 0, 1], dtype=torch.int32)
    taps = of_boxes(Filter.BICUBIC, True, (8, 8))
    found = resample(images, *taps, source)
    assert torch.equal(found, resample(images[source], *taps))


STRIDED: dict[str, Callable[[Tensor], Tensor]] = {
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "a window": lambda x: torch.nn.functional.pad(x, (3, 1, 2, 5))[:, :, 2:-5, 3:-1],
    "every second column": lambda x: x.repeat_interleave(2, dim=-1)[..., ::2],
    "on its side": lambda x: x.mT.contiguous().mT,
    "one image for all": lambda x: x[:1].expand(5, -1, -1, -1),
    "channels apart": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "one channel of three": lambda x: x[:, 1:2],
}


@pytest.mark.parametrize("name", STRIDED)
def test_strides(resample: Resample, images: Tensor, name: str) -> None:
    given, taps = STRIDED[name](images), of_boxes(Filter.BILINEAR, True, (9, 7))
    found = resample(given, *taps)
    assert torch.equal(found, resample(given.contiguous(), *taps))
    assert_close(found, reference(given, Filter.BILINEAR, True, (9, 7)))


def test_a_sample_is_the_same_in_any_batch(resample: Resample, images: Tensor) -> None:
    taps = of_boxes(Filter.BICUBIC, True, (9, 7))
    whole = resample(images, *taps)
    for part in (slice(0, 1), slice(2, 5)):
        own = [Taps(*(tensor[part] for tensor in astuple(one))) for one in taps]
        assert torch.equal(resample(images[part], *own), whole[part])


def test_an_empty_batch_and_a_number_of_channels_that_there_is_not(
    resample: Resample, images: Tensor
) -> None:
    none = copies((H, W), [], (4, 6))
    assert resample(images[:0], *none).shape == (0, 3, 4, 6)
    with pytest.raises(ValueError, match="must have 1 or 3 channels, got 2"):
        resample(images[:, :2], *of_boxes(Filter.NEAREST, True, (4, 4)))


COMPILE = """
import torch
from triton_compiler import Compiled

from augspec.kernels import triton_resample
from augspec.kernels.opcodes import Filter
from augspec.kernels.taps import window_taps

kernel = Compiled(triton_resample, "_resample")


def run(batch, views, side, dtype=torch.uint8, out=32):
    count = 2 * batch * views
    zero, none = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.int64)
    taps = window_taps(Filter.BICUBIC, True, zero, zero + side, side, out, none, none, out)
    source = torch.arange(batch, dtype=torch.int32).repeat(views)
    x = torch.zeros(batch, 3, side, side, dtype=dtype)
    triton_resample.resample(x, *taps.halves(), source)
    return kernel.count


first = run(512, 1, 48)
for batch, views in ((1, 1), (3, 2), (1000, 1), (16, 4)):
    assert run(batch, views, 48) == first, (batch, views)
print(first)
print(run(2, 1, 400, torch.float32, 20))  # more taps than are read in one go
"""


def test_it_compiles_for_a_gpu_and_not_again_for_another_batch(tmp_path: Path) -> None:
    """Down to machine code, without a GPU."""
    assert triton_compiler.run(COMPILE, tmp_path) == ["1", "2"]
