"""Counter-based uniforms: Philox4x32-10 in int64 tensors, bit-equal on every device.

A draw is a pure function of (seed, epoch) and (sample id, view, slot, block), so what one sample
gets depends on no other sample, worker, rank or earlier call (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011).
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

WORD = 2**32
BLOCK_WORDS = 4
MAX_UNIFORMS = BLOCK_WORDS * 256  # the block index has 8 bits of the counter

_MASK = WORD - 1
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)  # key increments: golden ratio and sqrt(3) - 1

Stream = tuple[int, int, int]


def philox4x32(counter: Tensor, key: Tensor, *, rounds: int = 10) -> Tensor:
    """Encrypt counters with Philox4x32.

    Args:
        counter: `(..., 4)` int64, each word in `[0, 2**32)`.
        key: `(..., 2)` int64, each word in `[0, 2**32)`; broadcast against the counter.
        rounds: number of rounds; 10 is the published generator.

    Returns:
        `(..., 4)` int64 words in `[0, 2**32)`.
    """
    c0, c1, c2, c3 = counter.unbind(-1)
    k0, k1 = key.unbind(-1)
    return torch.stack(philox_rounds(c0, c1, c2, c3, k0, k1, rounds), dim=-1)


def philox_rounds(
    c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, k0: Tensor | int, k1: Tensor | int, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run `count` rounds on separate words; integer keys need no copy to the counter's device."""
    for _ in range(count):
        # int64 products wrap modulo 2**64, which keeps exactly the 64 bits that are wanted; the
        # shift brings the sign along, the mask drops it.
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        high0, high1 = (product0 >> 32) & _MASK, (product1 >> 32) & _MASK
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, product1 & _MASK, high0 ^ c3 ^ k1, product0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def uniforms(ids: Tensor, *, seed: int, epoch: int, streams: Sequence[Stream]) -> list[Tensor]:
    """Draw independent uniforms for every sample and stream, in one generator call.

    The counter of a block is (low 32 bits of the id, view, slot, high 24 bits of the id << 8 |
    block) and the key is (seed, epoch). A longer stream starts with the shorter one's draws.

    Args:
        ids: `(B,)` int64 sample ids in `[0, 2**56)`; the range is not checked, as that would make
            the host wait for the device.
        seed: 32-bit word.
        epoch: 32-bit word.
        streams: `(view, slot, n)` triples: two 32-bit words and how many uniforms are wanted.

    Returns:
        One `(B, n)` float64 tensor per stream, in the open interval (0, 1).

    Raises:
        ValueError: a word or a count is out of range.
    """
    _check_word("seed", seed)
    _check_word("epoch", epoch)
    table = _tabulate(tuple(streams), ids.device)
    view, slot, block = table.unbind(0)
    low = (ids & _MASK).unsqueeze(1).expand(-1, table.shape[1])
    high = ((ids >> 32) << 8).unsqueeze(1) | block
    words = philox_rounds(low, view.expand_as(low), slot.expand_as(low), high, seed, epoch, 10)
    # x + 0.5 and the power of two are exact in float64: equal words give equal floats everywhere.
    values = (torch.stack(words, dim=-1).double() + 0.5) * (1.0 / WORD)
    pieces = values.flatten(1).split([BLOCK_WORDS * _blocks(n) for _, _, n in streams], dim=1)
    return [piece[:, :n] for piece, (_, _, n) in zip(pieces, streams, strict=True)]


def _blocks(n: int) -> int:
    return -(-n // BLOCK_WORDS)


def _check_word(name: str, value: int) -> None:
    if not 0 <= value < WORD:
        raise ValueError(f"{name} is {value}; allowed: 0 to {_MASK} (a 32-bit word)")


def _tabulate(streams: tuple[Stream, ...], device: torch.device) -> Tensor:
    """Return the words (view, slot, block) of every block, `(3, blocks)`."""
    # A cached tensor must not be one of the tracer's fake tensors, and the tracer folds constants.
    return _table(streams, device) if torch.compiler.is_compiling() else _cached(streams, device)


def _table(streams: tuple[Stream, ...], device: torch.device) -> Tensor:
    for view, slot, n in streams:
        _check_word("view", view)
        _check_word("slot", slot)
        if not 0 <= n <= MAX_UNIFORMS:
            raise ValueError(
                f"stream (view {view}, slot {slot}) asks for {n} uniforms; "
                f"allowed: 0 to {MAX_UNIFORMS}"
            )
    rows = [(view, slot, block) for view, slot, n in streams for block in range(_blocks(n))]
    return torch.tensor(rows, dtype=torch.int64, device=device).reshape(-1, 3).T


# Copying the table to a GPU makes the host wait: do it once per plan and device, not per batch.
_cached = lru_cache(maxsize=64)(_table)
