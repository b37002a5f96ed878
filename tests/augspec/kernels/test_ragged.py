"""The ragged batch: what goes in comes out, however it lies in memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from augspec.kernels.ragged import Ragged

SIZES = ((4, 7), (5, 3), (1, 1))


def images(channels: int = 3, interleaved: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for height, width in SIZES:
        shape = (height, width, channels) if interleaved else (channels, height, width)
        image = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        found.append(image.permute(2, 0, 1) if interleaved else image)
    return found


def assert_same(batch: Ragged, expected: list[Tensor]) -> None:
    assert len(batch) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(batch.images(), expected, strict=True))
    for image, start in zip(expected, batch.offsets.tolist(), strict=True):
        assert batch.pixels[start] == image[0, 0, 0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("interleaved", [False, True])
def test_images_come_back(channels: int, interleaved: bool) -> None:
    own = images(channels, interleaved)
    batch = Ragged.stack(own)
    assert batch.channels == channels
    assert batch.interleaved == (interleaved or channels == 1)  # one channel lies both ways
    assert batch.sizes.tolist() == [list(size) for size in SIZES]
    assert_same(batch, own)
    moved = batch.to("cpu")
    assert moved.interleaved == batch.interleaved
    assert_same(moved, own)


def test_a_decoder_s_images_are_copied_as_they_lie() -> None:
    own = images(interleaved=True)
    flat = torch.cat([x.permute(1, 2, 0).reshape(-1) for x in own])
    assert torch.equal(Ragged.stack(own).pixels, flat)
    mixed = [own[0], images()[1]]
    assert not Ragged.stack(mixed).interleaved
    assert_same(Ragged.stack(mixed), mixed)


def test_a_padded_batch() -> None:
    own = images()
    padded = torch.full((3, 3, 6, 8), 77, dtype=torch.uint8)
    for row, image in enumerate(own):
        padded[row, :, : image.shape[1], : image.shape[2]] = image
    assert_same(Ragged.from_padded(padded, torch.tensor(SIZES)), own)


def test_images_are_views_through_which_gradients_pass() -> None:
    own = [x.double() for x in images()]
    batch = Ragged(Ragged.stack(own).pixels.requires_grad_(), torch.tensor(SIZES))
    (batch.images()[1] * 2).sum().backward()
    start, end = batch.offsets[1], batch.offsets[2]
    assert (batch.pixels.grad[start:end] == 2).all()
    assert batch.pixels.grad.sum() == 2 * own[1].numel()


def test_wrong_input_is_named() -> None:
    own, sizes = images(), torch.tensor(SIZES)
    with pytest.raises(ValueError, match="at least one image"):
        Ragged.stack([])
    with pytest.raises(ValueError, match="at least one image"):
        Ragged(torch.zeros(0), torch.zeros(0, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"equal channels and dtype.*\(3, 4, 7\).*\(1, 2, 2\)"):
        Ragged.stack([own[0], torch.zeros(1, 2, 2, dtype=torch.uint8)])
    with pytest.raises(ValueError, match=r"torch\.uint8 and .* torch\.float32"):
        Ragged.stack([own[0], own[1].float()])
    with pytest.raises(ValueError, match=r"sizes must be \(B, 2\) int64 on the CPU, got \(3, 2\) "):
        Ragged(torch.zeros(132), sizes.float())
    with pytest.raises(ValueError, match=r"got \(2,\)"):
        Ragged(torch.zeros(132), sizes[0])
    with pytest.raises(ValueError, match=r"pixels must be \(132,\), got \(131,\)"):
        Ragged(torch.zeros(131), sizes)
    with pytest.raises(ValueError, match="sizes must be at least 1, got 0"):
        Ragged(torch.zeros(0), sizes * 0)
    with pytest.raises(ValueError, match=r"sizes must lie in 1 to \(4, 8\), got \(5, 3\)"):
        Ragged.from_padded(torch.zeros(3, 3, 4, 8), sizes)
    with pytest.raises(ValueError, match=r"got \(3, 3, 4, 8\) and \(2, 2\)"):
        Ragged.from_padded(torch.zeros(3, 3, 4, 8), sizes[:2])
