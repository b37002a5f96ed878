"""Kernels on the three colour channels, one set of parameters per sample.

Images are `(B, 3, H, W)` in [0, 1], parameters `(B,)`; one-channel images are returned as they are.
"""

import torch
from torch import Tensor

from augspec.kernels.rows import per_sample


def permute_channels(x: Tensor, permutation: Tensor) -> Tensor:
    """Reorder the channels: output channel c is input channel `permutation[b, c]`.

    Args:
        x: `(B, C, H, W)`.
        permutation: `(B, 3)` int64.
    """
    if x.shape[1] == 1:
        return x
    return x.gather(1, permutation[:, :, None, None].expand_as(x))


def drop_channel(x: Tensor, channel: Tensor, fill: float) -> Tensor:
    """Set one channel to `fill`.

    Args:
        x: `(B, C, H, W)`.
        channel: `(B,)`: 0 for none, 1, 2, 3 for red, green, blue.
        fill: the intensity to set.
    """
    if x.shape[1] == 1:
        return x
    own = torch.arange(1, 4, device=x.device)
    dropped = channel.round().reshape(-1, 1, 1, 1) == own.reshape(1, -1, 1, 1)
    return torch.where(dropped, fill, x)


def gain(x: Tensor, red: Tensor, blue: Tensor) -> Tensor:
    """Scale red and blue by gains `(B,)` >= 0 and clamp to [0, 1]; green stays.

    Differentiable in the image and in the gains.
    """
    if x.shape[1] == 1:
        return x
    factors = torch.cat(
        [per_sample(red, x), torch.ones_like(x[:, :1, :1, :1]), per_sample(blue, x)], 1
    )
    return (x * factors).clamp(0.0, 1.0)
