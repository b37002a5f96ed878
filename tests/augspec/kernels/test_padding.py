"""Padding and cropping: torchvision's pixels, a box for each sample."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor

from augspec.kernels.padding import crop_padded, pad

MODES = ["constant", "reflect", "edge", "symmetric"]


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("margins", [(0, 0, 0, 0), (1, 2, 3, 4), (5, 0, 0, 6), (4, 4, 4, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pads_as_torchvision(mode: str, margins: tuple[int, int, int, int], channels: int) -> None:
    x = noise(2, channels, 7, 9)
    expected = TF.pad(x, list(margins), fill=0.25, padding_mode=mode)
    assert torch.equal(pad(x, margins, mode, 0.25), expected)


@pytest.mark.parametrize("mode", MODES)
def test_every_box_of_the_padded_image_is_torchvisions(mode: str) -> None:
    margins, (h, w) = (3, 1, 2, 4), (5, 6)
    places = [(top, left) for top in range(-1, 7 + 4 - 5 + 1) for left in range(-3, 6 + 2 - 6 + 1)]
    top, left = torch.tensor(places).unbind(1)
    x = noise(len(places), 3, 7, 6)
    boxes = crop_padded(x, top, left, (h, w), margins, mode, 0.5)
    padded = TF.pad(x, list(margins), fill=0.5, padding_mode=mode)
    for i, (row, column) in enumerate(places):
        assert torch.equal(boxes[i], TF.crop(padded[i], row + 1, column + 3, h, w)), (row, column)


def test_mirroring_further_than_the_image_is_refused() -> None:
    x = noise(1, 3, 5, 8)
    assert pad(x, (7, 4, 7, 4), "reflect").shape == (1, 3, 13, 22)
    with pytest.raises(ValueError, match="height is 5; allowed: up to 4"):
        pad(x, (0, 5, 0, 0), "reflect")
    assert pad(x, (8, 5, 8, 5), "symmetric").shape == (1, 3, 15, 24)
    with pytest.raises(ValueError, match="width is 8; allowed: up to 8"):
        pad(x, (0, 0, 9, 0), "symmetric")
    assert pad(x, (50, 0, 0, 0), "edge").shape == (1, 3, 5, 58)


def test_a_box_larger_than_the_padded_image_is_refused() -> None:
    zero = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="8x6 pixels does not fit into a padded image of 7x6"):
        crop_padded(noise(1, 3, 5, 6), zero, zero, (8, 6), (0, 1, 0, 1), "edge")


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_the_derivatives(mode: str) -> None:
    x = noise(2, 1, 4, 5, dtype=torch.float64).requires_grad_()
    top, left = torch.tensor([-2, 1]), torch.tensor([2, -1])

    def crop(image: Tensor) -> Tensor:
        return crop_padded(image, top, left, (5, 5), (2, 2, 2, 2), mode, 0.5)

    assert torch.autograd.gradcheck(crop, x)
    assert torch.autograd.gradcheck(lambda image: pad(image, (1, 2, 3, 0), mode), x)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
def test_a_gpu_gives_the_same_pixels_without_waiting_for_it(mode: str) -> None:
    x, top, left = noise(3, 3, 8, 8), torch.tensor([-2, 0, 1]), torch.tensor([2, -1, 0])
    margins = (3, 2, 3, 2)
    expected = crop_padded(x, top, left, (7, 7), margins, mode), pad(x, margins, mode)
    x, top, left = x.cuda(), top.cuda(), left.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = crop_padded(x, top, left, (7, 7), margins, mode), pad(x, margins, mode)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(a.cpu(), b) for a, b in zip(found, expected, strict=True))
