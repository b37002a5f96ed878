"""How numba compiles kernels: without the interpreter's lock, and without reordering floats.

Floats are never reordered or contracted, so that a sample's pixels are the same whatever the
number of threads, the batch or the width of the processor's vectors.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def digest(*sources: Path) -> int:
    """A number of 56 bits that changes with the text of these files."""
    text = b"".join(path.read_bytes() for path in sources)
    return int.from_bytes(hashlib.sha256(text).digest()[:7], "big")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function that other kernels call."""
    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy")(function)
    return compiled


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function that stands in inner loops."""
    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", inline="always")(
        function
    )
    return compiled


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function that is called from Python, and keeps the result on disk.

    Numba's cache on disk only watches the file of the function that it is asked for: one that calls
    kernels of other files must have a free variable with their `digest`.
    """
    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy")(function)
    # where neither the package's folder nor the user's can be written, nothing is kept
    with contextlib.suppress(RuntimeError):
        compiled.enable_caching()  # type: ignore[attr-defined]
    return compiled
