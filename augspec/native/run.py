"""Runs a range of work on as many threads as torch would use.

Threads of this module, not numba's: its simplest threading layer ends the process when two threads
use it at once, and every one of them is a second pool beside torch's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import count

SHARES = 4  # pieces of work for each thread: samples are not equally dear


@lru_cache(maxsize=1)
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    # a forked process has none of its parent's threads, so it needs a pool of its own
    return ThreadPoolExecutor(workers, thread_name_prefix="augspec")


def in_threads(work: Callable[[int, int], None], total: int, threads: int) -> None:
    """Calls `work(begin, end)` for ranges that cover 0 to `total`; the caller takes part.

    Args:
        work: must not hold the interpreter's lock for long.
        total: how much there is.
        threads: how many threads work at most.
    """
    threads = min(threads, total)
    if threads <= 1:
        work(0, total)
        return
    size = -(-total // (threads * SHARES))
    next_one = count()  # atomic under the interpreter's lock

    def take() -> None:
        while (begin := next(next_one) * size) < total:
            work(begin, min(begin + size, total))

    helping = [_pool(os.getpid(), threads - 1).submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        wait(helping)
    for future in helping:
        future.result()
