"""Gaussian blur with torchvision's kernel and reflect padding, one sigma per sample."""

import torch
from kornia.filters import filter2d_separable
from torch import Tensor

from augspec.kernels.rows import on_rows


def gaussian_blur(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Blur each sample with its own Gaussian.

    Args:
        x: `(B, C, H, W)`.
        sigma: `(B,)` standard deviations in pixels; a sample whose sigma is 0 stays bit-equal.
        kernel: side of the square kernel in pixels, odd.

    Returns:
        `(B, C, H, W)`.

    Raises:
        ValueError: the kernel is even, or too large for reflect padding of this image.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"blur kernel is {kernel} pixels; allowed: odd numbers from 1")
    check_reach((x.shape[-2], x.shape[-1]), kernel)
    return on_rows(sigma > 0.0, lambda rows, s: _blur(rows, s, kernel), x, sigma)


def check_reach(size: tuple[int, int], kernel: int) -> None:
    """Refuse a kernel that reaches past the mirrored edges of images of this height and width.

    Raises:
        ValueError: the kernel is too large for reflect padding of this image.
    """
    side = min(size)
    if kernel // 2 >= side:
        raise ValueError(
            f"blur kernel is {kernel} pixels, too large for reflect padding of an image whose "
            f"shorter side is {side}; allowed: odd numbers up to {2 * side - 1}"
        )


def _blur(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    weights = gaussian_weights(sigma, kernel).to(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        return filter2d_separable(x, weights, weights, border_type="reflect")


def gaussian_weights(sigma: Tensor, kernel: int) -> Tensor:
    """Return `(B, kernel)` normalised samples of the Gaussian density; finite for sigma 0."""
    reach = kernel // 2
    offset = torch.arange(-reach, reach + 1, dtype=sigma.dtype, device=sigma.device)
    # Masked samples pass through here with sigma 0: any positive width keeps derivatives finite.
    width = torch.where(sigma > 0.0, sigma, 1.0).unsqueeze(1)
    return torch.softmax(-0.5 * (offset / width) ** 2, dim=1)
