"""Random fields that a seed replays: a number for each pixel, the same on every device.

A field is Philox4x32-10 with the sample's seed as its key and the pixel's place as its counter, so
it depends on nothing but the seed, the name of its purpose and the place.
"""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor

from augspec.kernels.philox import BLOCK_WORDS, WORD, philox_rounds


@torch.compiler.assume_constant_result
def _word(purpose: str) -> int:
    return zlib.crc32(purpose.encode())


def uniform_field(seed: Tensor, shape: tuple[int, ...], purpose: str) -> Tensor:
    """Draw a field of uniforms in the open interval (0, 1) for each sample.

    Args:
        seed: `(B,)` 32-bit words, in any dtype that holds them.
        shape: the shape of one sample's field.
        purpose: a name that keeps fields of one seed apart, such as `gaussian_noise`.

    Returns:
        `(B, *shape)` float64.
    """
    count = math.prod(shape)
    block = torch.arange(-(-count // BLOCK_WORDS), device=seed.device)
    place, zero = block.expand(len(seed), -1), (block * 0).expand(len(seed), -1)
    key, word = seed.detach().long().unsqueeze(1), _word(purpose)
    blocks = philox_rounds(place, zero, zero, zero, key, word, 10)
    words = torch.stack(blocks, dim=-1).flatten(1)[:, :count]
    # exact in float64: equal words give equal numbers everywhere
    return ((words.double() + 0.5) * (1.0 / WORD)).reshape(len(seed), *shape)


def normal_field(seed: Tensor, shape: tuple[int, ...], purpose: str) -> Tensor:
    """Draw a field of standard normals for each sample; see `uniform_field`."""
    return torch.special.ndtri(uniform_field(seed, shape, purpose))
