"""Triton's interpreter, which runs kernels on CPU tensors, in a process of its own.

Whether a kernel is interpreted is decided when triton is imported, by the environment.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from typing import ParamSpec, TypeVar

import pytest

P = ParamSpec("P")
T = TypeVar("T")


@lru_cache(maxsize=1)
def _process() -> ProcessPoolExecutor:
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        pool.submit(os.getpid).result()  # the process starts with its first task
    return pool


def interpreted(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function returns where triton interprets; it and all it is given must be picklable."""
    return _process().submit(function, *args, **kwargs).result()
