"""Images of different sizes as one batch: their pixels in one buffer, one image after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augspec.kernels.memory import empty

NOTHING = "a ragged batch needs at least one image"


@dataclass(frozen=True, eq=False)
class Ragged:
    """A batch of B images, each of its own height and width.

    Raises:
        ValueError: there is no image, a size is not positive, or the pixels are not as many as the
            sizes say.

    Attributes:
        pixels: `(N,)` uint8, or floating point in [0, 1]: all images, one after the other.
        sizes: `(B, 2)` int64 on the CPU, height and width of each.
        channels: C, 1 or 3.
        interleaved: whether an image lies as (H, W, C), as decoders give it, not as (C, H, W).
    """

    pixels: Tensor
    sizes: Tensor
    channels: int = 3
    interleaved: bool = False

    def __post_init__(self) -> None:
        sizes = self.sizes
        whole = sizes.dtype == torch.int64 and sizes.device.type == "cpu"
        if sizes.ndim != 2 or sizes.shape[1] != 2 or not whole:
            raise ValueError(
                f"sizes must be (B, 2) int64 on the CPU, "
                f"got {tuple(sizes.shape)} {sizes.dtype} on {sizes.device}"
            )
        if not len(sizes):
            raise ValueError(NOTHING)
        if int(sizes.min()) < 1:
            raise ValueError(f"sizes must be at least 1, got {int(sizes.min())}")
        wanted = int(sizes.prod(dim=-1).sum()) * self.channels
        if self.pixels.shape != (wanted,):
            raise ValueError(f"pixels must be ({wanted},), got {tuple(self.pixels.shape)}")

    @classmethod
    def stack(cls, images: Sequence[Tensor]) -> Ragged:
        """The images `(C, H, W)` of one dtype and device as one batch.

        Those whose memory lies as (H, W, C), as a decoder gives them, are copied as they lie.

        Raises:
            ValueError: there is none, or they differ in dtype or channels.
        """
        if not images:
            raise ValueError(NOTHING)
        first = images[0]
        for image in images:
            if image.ndim != 3 or image.shape[0] != first.shape[0] or image.dtype != first.dtype:
                raise ValueError(
                    f"images must be (C, H, W) with equal channels and dtype, got "
                    f"{tuple(first.shape)} {first.dtype} and {tuple(image.shape)} {image.dtype}"
                )
        interleaved = all(image.permute(1, 2, 0).is_contiguous() for image in images)
        flat = [(x.permute(1, 2, 0) if interleaved else x).reshape(-1) for x in images]
        sizes = torch.tensor([x.shape[1:] for x in images], dtype=torch.int64)
        if first.device.type == "cpu":
            pixels = empty(sum(image.nbytes for image in flat)).view(first.dtype)
        else:
            pixels = first.new_empty(sum(len(image) for image in flat))
        return cls(torch.cat(flat, out=pixels), sizes, first.shape[0], interleaved)

    @classmethod
    def from_padded(cls, images: Tensor, sizes: Tensor) -> Ragged:
        """A padded batch `(B, C, H, W)`, of whose images the first rows and columns are real.

        Args:
            images: the batch.
            sizes: `(B, 2)`, the real height and width of each.

        Raises:
            ValueError: a size is larger than the batch, or not positive, or there are not as many
                as images.
        """
        if images.ndim != 4 or sizes.shape != (len(images), 2):
            raise ValueError(
                f"images must be (B, C, H, W), and sizes (B, 2), "
                f"got {tuple(images.shape)} and {tuple(sizes.shape)}"
            )
        sizes = sizes.cpu()
        bad = (sizes < 1) | (sizes > torch.tensor(images.shape[-2:]))
        if bad.any():
            raise ValueError(
                f"sizes must lie in 1 to {tuple(images.shape[-2:])}, "
                f"got {tuple(sizes[bad.any(dim=1)][0].tolist())}"
            )
        return cls.stack([x[:, :h, :w] for x, (h, w) in zip(images, sizes.tolist(), strict=True)])

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def offsets(self) -> Tensor:
        """`(B,)` int64, where in `pixels` each image begins."""
        ends = self.sizes.prod(dim=-1).cumsum(0) * self.channels
        return ends - self.sizes.prod(dim=-1) * self.channels

    def images(self) -> list[Tensor]:
        """The images `(C, H, W)`, as views of `pixels`."""
        pieces = self.pixels.split((self.sizes.prod(dim=-1) * self.channels).tolist())
        found = []
        for piece, (height, width) in zip(pieces, self.sizes.tolist(), strict=True):
            if self.interleaved:
                found.append(piece.reshape(height, width, self.channels).permute(2, 0, 1))
            else:
                found.append(piece.reshape(self.channels, height, width))
        return found

    def to(self, device: torch.device | str) -> Ragged:
        """The batch with its pixels on another device."""
        moved = self.pixels.to(device, non_blocking=True)
        return Ragged(moved, self.sizes, self.channels, self.interleaved)

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self.pixels.device

    @property
    def dense(self) -> Tensor | None:
        """The images as one batch `(B, C, H, W)`, without a copy; None where sizes differ."""
        if not len(self) or bool((self.sizes != self.sizes[0]).any()):
            return None
        height, width = self.sizes[0].tolist()
        if self.interleaved:
            return self.pixels.reshape(-1, height, width, self.channels).permute(0, 3, 1, 2)
        return self.pixels.reshape(-1, self.channels, height, width)


def as_batch(images: Tensor | Ragged | Sequence[Tensor]) -> Tensor | Ragged:
    """Images as a batch `(B, C, H, W)` where they have one size, else as a ragged one.

    Args:
        images: a batch of either kind, or images `(C, H, W)`.

    Raises:
        ValueError: they are neither.
    """
    if isinstance(images, Tensor):
        if images.ndim != 4:
            raise ValueError(f"images must be (B, C, H, W), got {tuple(images.shape)}")
        return images
    ragged = images if isinstance(images, Ragged) else Ragged.stack(images)
    dense = ragged.dense
    return ragged if dense is None else dense


def sizes_of(batch: Tensor | Ragged) -> tuple[int, int] | Tensor:
    """Height and width of all images, or `(B, 2)`, those of each."""
    if isinstance(batch, Ragged):
        return batch.sizes
    return batch.shape[-2], batch.shape[-1]
