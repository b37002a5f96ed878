"""Counter-based random words for what is random about data: rendered images, epochs' orders.

NumPy guarantees that the raw words of its bit generators never change between versions (NEP 19),
which it does not of `permutation` or `random`. Everything here is built from raw words, so it is
the same on every machine and version.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

U64 = npt.NDArray[np.uint64]
F32 = npt.NDArray[np.float32]

# Each use has a purpose of its own, so that no two uses ever share random words.
ORDER, SHAPES_LABEL, SHAPES_IMAGE, PARTNERS, HELD_OUT = range(5)


def words(count: int, *, seed: int, stream: int, purpose: int, index: int = 0) -> U64:
    """Draws 64-bit words from Philox4x64 (Salmon et al., 2011), as a function of the arguments.

    Args:
        count: how many words.
        seed: the user's seed, in [0, 2^32).
        stream: an epoch or a split, in [0, 2^32).
        purpose: `ORDER`, or one of the others above.
        index: the sample or block that draws.
    """
    generator = np.random.Philox(key=[seed, stream], counter=[0, 0, purpose, index])
    return np.asarray(generator.random_raw(count))


def uniforms(raw: U64) -> F32:
    """Maps 64-bit words to float32 in [0, 1), exactly: the upper 24 bits times 2^-24."""
    return (raw >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def permutation(count: int, *, seed: int, epoch: int) -> Tensor:
    """The order of an epoch: a permutation of 0 ... count - 1, `(count,)` int64.

    It ranks one random word per sample, so it is a pure function of the arguments and the same
    everywhere. (Seeding a `torch.Generator` with a combination of both would not do: on the CPU it
    keeps only the seed's lower 32 bits.)

    Args:
        count: number of samples.
        seed: in [0, 2^32).
        epoch: in [0, 2^32).
    """
    raw = words(count, seed=seed, stream=epoch, purpose=ORDER)
    return torch.from_numpy(np.argsort(raw, kind="stable"))


def partners(count: int, *, seed: int, epoch: int) -> Tensor:
    """Another sample for each sample, and each for one: `(count,)` int64 ids, by id.

    All samples stand in a circle of random order, and each has the next for its partner: a pure
    function of the arguments, as `permutation` is, and never the sample itself.

    Args:
        count: number of samples, at least 2.
        seed: in [0, 2^32).
        epoch: in [0, 2^32).

    Raises:
        ValueError: a single sample has no partner.
    """
    if count < 2:
        raise ValueError(f"a sample's partner is another sample: there must be 2, not {count}")
    raw = words(count, seed=seed, stream=epoch, purpose=PARTNERS)
    circle = np.argsort(raw, kind="stable")
    found = np.empty_like(circle)
    found[circle] = np.roll(circle, -1)
    return torch.from_numpy(found)
