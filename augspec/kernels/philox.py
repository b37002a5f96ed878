"""Counter-based uniforms: Philox4x32-10, bit-equal on every device.

On a CPU, machine code; elsewhere, and under a tracer, int64 tensors.

A draw is a pure function of (seed, epoch) and (sample id, view, slot, block), so what one sample
gets depends on no other sample, worker, rank or earlier call (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from augspec.kernels.tracing import readable, tracing

WORD = 2**32
BLOCK_WORDS = 4
MAX_UNIFORMS = BLOCK_WORDS * 256  # the block index has 8 bits of the counter

_MASK = WORD - 1
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)  # key increments: golden ratio and sqrt(3) - 1

Stream: TypeAlias = tuple[int, int, int]
"""View, slot and how many uniforms: two words of the counter, and a count."""


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
    return tabulated(tuple((stream,) for stream in streams)).uniforms(ids, seed, epoch)


def tabulated(stacks: tuple[tuple[Stream, ...], ...]) -> StreamTable:
    """The table of these streams; it is kept for the next call, but for a tracer's."""
    return StreamTable(stacks) if tracing() else _kept(stacks)


class StreamTable:
    """Where the uniforms of some streams stand in the counter, looked up once.

    Args:
        stacks: the streams, those of one count that are wanted one below the other in one tensor.

    Raises:
        ValueError: a word or a count is out of range, or the counts of a stack differ.
    """

    def __init__(self, stacks: Sequence[Sequence[Stream]]) -> None:
        self.shapes: list[tuple[int, int]] = []
        words: list[tuple[int, int, int]] = []
        places: list[list[int]] = []  # the row of the result that each word of a block goes to
        total = 0
        for stack in stacks:
            count = stack[0][2]
            for view, slot, n in stack:
                _check_stream(view, slot, n, count)
            for block in range(-(-count // BLOCK_WORDS)):
                for member, (view, slot, _) in enumerate(stack):
                    words.append((view, slot, block))
                    ks = range(block * BLOCK_WORDS, (block + 1) * BLOCK_WORDS)
                    rows = [total + k * len(stack) + member if k < count else -1 for k in ks]
                    places.append(rows)
            self.shapes.append((len(stack), count))
            total += count * len(stack)
        self._words, self._places, self._total = words, places, total
        self._on: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def uniforms(self, ids: Tensor, seed: int, epoch: int) -> list[Tensor]:
        """Draws for every sample, see the function `uniforms`.

        Args:
            ids: `(B,)` integers.
            seed: 32-bit word.
            epoch: 32-bit word.

        Returns:
            For each stack of S streams of n uniforms, `(S B, n)` float64: the samples of its first
            stream, then those of the second, and so on. Each column lies in one piece.

        Raises:
            ValueError: the seed or the epoch is out of range.
        """
        _check_word("seed", seed)
        _check_word("epoch", epoch)
        ids = ids.long()
        if readable(ids):
            drawn = torch.empty(self._total, len(ids), dtype=torch.float64)
            fill = _compiled()
            fill(ids.contiguous().numpy(), seed, epoch, *self._arrays, drawn.numpy())
        else:
            drawn = self._by_tensors(ids, seed, epoch)
        pieces = drawn.split([members * count for members, count in self.shapes])
        return [
            piece.view(count, members * len(ids)).t()
            for piece, (members, count) in zip(pieces, self.shapes, strict=True)
        ]

    def _by_tensors(self, ids: Tensor, seed: int, epoch: int) -> Tensor:
        """The uniforms, one `(B,)` row for each: on any device, and under a tracer."""
        words, rows = self._tensors(ids.device)
        view, slot, block = words.unbind(-1)
        low = (ids & _MASK).expand(len(words), -1)
        high = ((ids >> 32) << 8) | block
        drawn = philox_rounds(low, view.expand_as(low), slot.expand_as(low), high, seed, epoch, 10)
        # x + 0.5 and the power of two are exact in float64: equal words give equal floats
        chosen = torch.stack(drawn, dim=1).flatten(0, 1)[rows]
        return (chosen.double() + 0.5) * (1.0 / WORD)

    def _tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The words `(T, 1, 3)`, and which of the `(4 T,)` drawn words are wanted, in order.

        Copying them to a GPU makes the host wait: that is done once, not for every batch.
        """
        if device in self._on:
            return self._on[device]
        rows = [0] * self._total
        for word, row in enumerate(row for block in self._places for row in block):
            if row >= 0:
                rows[row] = word
        words = torch.tensor(self._words, dtype=torch.int64, device=device).reshape(-1, 1, 3)
        order = torch.tensor(rows, dtype=torch.int64, device=device)
        if not tracing():  # a tracer's tensors must not be kept
            self._on[device] = words, order
        return words, order

    @cached_property
    def _arrays(self) -> tuple[Any, Any]:
        """The words `(T, 3)` and the rows `(T, 4)` for `_fill`."""
        words = np.array(self._words, dtype=np.int64).reshape(-1, 3)
        return words, np.array(self._places, dtype=np.int64).reshape(-1, BLOCK_WORDS)


_kept = lru_cache(maxsize=64)(StreamTable)


def _check_word(name: str, value: int) -> None:
    if not 0 <= value < WORD:
        raise ValueError(f"{name} is {value}; allowed: 0 to {_MASK} (a 32-bit word)")


def _check_stream(view: int, slot: int, n: int, count: int) -> None:
    _check_word("view", view)
    _check_word("slot", slot)
    if not 0 <= n <= MAX_UNIFORMS:
        raise ValueError(
            f"stream (view {view}, slot {slot}) asks for {n} uniforms; allowed: 0 to {MAX_UNIFORMS}"
        )
    if n != count:
        raise ValueError(f"streams of one stack ask for {count} and {n} uniforms; allowed: equal")


@cache
def _compiled() -> Callable[..., Any]:
    """`_fill` as machine code; numba is only imported where something is drawn."""
    from augspec.kernels.jit import entry

    return entry(_fill)


def _fill(
    ids: Any, seed: Any, epoch: Any, words: Any, places: Any, drawn: Any
) -> None:  # pragma: no cover
    """Writes the uniforms of all blocks; it is `philox_rounds`, on unsigned 64-bit numbers.

    Args:
        ids: `(B,)` int64.
        seed: 32-bit word.
        epoch: 32-bit word.
        words: `(T, 3)` int64: view, slot and block.
        places: `(T, 4)` int64: the row for each word that is drawn, or -1.
        drawn: `(R, B)` float64, to be written.
    """
    mask, shift = np.uint64(_MASK), np.uint64(32)
    m0, m1 = np.uint64(_MULTIPLIERS[0]), np.uint64(_MULTIPLIERS[1])
    w0, w1 = np.uint64(_WEYL[0]), np.uint64(_WEYL[1])
    for t in range(len(words)):
        view, slot, block = np.uint64(words[t, 0]), np.uint64(words[t, 1]), np.uint64(words[t, 2])
        a, b, c, d = places[t, 0], places[t, 1], places[t, 2], places[t, 3]
        for i in range(len(ids)):
            c0, c1, c2 = np.uint64(ids[i]) & mask, view, slot
            c3 = np.uint64((ids[i] >> 32) << 8) | block
            k0, k1 = np.uint64(seed), np.uint64(epoch)
            for _ in range(10):
                product0, product1 = c0 * m0, c2 * m1
                c0, c1 = (product1 >> shift) ^ c1 ^ k0, product1 & mask
                c2, c3 = (product0 >> shift) ^ c3 ^ k1, product0 & mask
                k0, k1 = (k0 + w0) & mask, (k1 + w1) & mask
            if a >= 0:
                drawn[a, i] = (np.float64(c0) + 0.5) * (1.0 / WORD)
            if b >= 0:
                drawn[b, i] = (np.float64(c1) + 0.5) * (1.0 / WORD)
            if c >= 0:
                drawn[c, i] = (np.float64(c2) + 0.5) * (1.0 / WORD)
            if d >= 0:
                drawn[d, i] = (np.float64(c3) + 0.5) * (1.0 / WORD)
