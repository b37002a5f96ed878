"""Memory for batches, used again: new pages are dear, and every batch would ask for all of its own.

A block that nobody refers to any more is kept for the next batch of about its size, in large pages
where the system has them. For a batch of views, making new pages takes about as long as rendering.
"""

from __future__ import annotations

import mmap
import sys
import weakref
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

LARGE = 2**20
"""Bytes from which on a block is kept."""

KEPT = 2**30
"""Bytes that are kept at most, in all."""

_blocks: list[mmap.mmap] = []
"""What is kept, the longest kept first.

Without a lock: what gives blocks back may run wherever Python collects garbage, inside of what
would hold the lock too. Each step here is one of the list's own, which nothing interrupts.
"""


def empty(size: int) -> Tensor:
    """Memory of `size` bytes, `(size,)` uint8 on the CPU, with anything in it.

    As long as any tensor or array refers to it, it is theirs alone.
    """
    if size < LARGE or sys.platform != "linux":
        return torch.empty(size, dtype=torch.uint8)
    block = _take(size)
    owner = np.frombuffer(block, dtype=np.uint8, count=size)
    # the tensor holds this array until its last view is gone
    weakref.finalize(owner, _give_back, block).atexit = False
    return torch.from_numpy(owner)


def release() -> None:
    """Gives what is kept back to the system."""
    _blocks.clear()


def _take(size: int) -> mmap.mmap:
    """The smallest kept block that is large enough, and not much too large, or a new one."""
    while fitting := [block for block in tuple(_blocks) if size <= len(block) <= 2 * size]:
        block = min(fitting, key=len)
        with suppress(ValueError):  # another thread has taken it
            _blocks.remove(block)
            return block
    # private: a forked process that uses a block must not write into its parent's
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _give_back(block: mmap.mmap) -> None:
    _blocks.append(block)
    while sum(map(len, tuple(_blocks))) > KEPT:
        with suppress(IndexError):
            _blocks.pop(0)
