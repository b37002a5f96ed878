"""How the kernels are compiled: without the interpreter's lock, and without reordering floats.

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

_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
DIGEST = int.from_bytes(
    hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).digest()[:7], "big"
)
"""Of the source of all kernels: numba's cache on disk only watches the file of the function that
it is asked for, so that function has this number inside."""


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

    The function must have a free variable with `DIGEST`.
    """
    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy")(function)
    # where neither the package's folder nor the user's can be written, nothing is kept
    with contextlib.suppress(RuntimeError):
        compiled.enable_caching()  # type: ignore[attr-defined]
    return compiled
