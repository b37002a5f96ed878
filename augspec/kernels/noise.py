"""Noise that a seed replays: Gaussian, and salt and pepper, one set of parameters per sample.

Images are `(B, C, H, W)` in [0, 1] with C of 1 or 3, parameters `(B,)`.
"""

import torch
from torch import Tensor

from augspec.kernels.fields import normal_field, uniform_field
from augspec.kernels.rows import per_sample


def gaussian_noise(x: Tensor, mean: Tensor, sigma: Tensor, seed: Tensor) -> Tensor:
    """Add `mean + sigma * n` with standard normals n for each channel value, clamped to [0, 1].

    As torchvision's `gaussian_noise` with `clip=True`. Differentiable in `x`, `mean` and `sigma`.

    Args:
        x: `(B, C, H, W)`.
        mean: `(B,)`.
        sigma: `(B,)` >= 0.
        seed: `(B,)` 32-bit words.
    """
    field = normal_field(seed, tuple(x.shape[1:]), "gaussian_noise").to(x.dtype)
    return (x + (per_sample(mean, x) + per_sample(sigma, x) * field)).clamp(0.0, 1.0)


def salt_and_pepper(x: Tensor, amount: Tensor, salt: Tensor, seed: Tensor) -> Tensor:
    """Set some pixels to white (salt) or black (pepper), in all channels alike.

    A pixel is noise with probability `amount`, and noise is salt with probability `salt`, as in
    Kornia's `RandomSaltAndPepperNoise`. The gradient reaches the other pixels.

    Args:
        x: `(B, C, H, W)`.
        amount: `(B,)` in [0, 1].
        salt: `(B,)` in [0, 1].
        seed: `(B,)` 32-bit words.
    """
    field = uniform_field(seed, (2, *x.shape[-2:]), "salt_and_pepper")
    noisy, white = (
        part < value.reshape(-1, 1, 1)
        for part, value in zip(field.unbind(1), (amount, salt), strict=True)
    )
    return torch.where(noisy.unsqueeze(1), white.unsqueeze(1).to(x.dtype), x)
