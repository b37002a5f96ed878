"""Memory for large results, in large pages."""

from __future__ import annotations

import ctypes
import mmap
import sys

LARGE = 4 * 2**20
"""Bytes from which on large pages are asked for: two of them, at least one of which is whole."""


def advise_large_pages(address: int, size: int) -> None:
    """Asks the system to back memory that was just allocated with large pages.

    Otherwise a batch of views touches thousands of new pages of 4 KiB, and making these takes as
    long as rendering. Only Linux is asked, and it need not do it.

    Args:
        address: of the first byte.
        size: bytes.
    """
    if size < LARGE or sys.platform != "linux":
        return
    page = mmap.PAGESIZE
    first, last = -(-address // page) * page, (address + size) // page * page
    libc = ctypes.CDLL(None)
    libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_HUGEPAGE)
