"""Compiles Triton kernels for a GPU where there is none: for scripts that tests run by themselves.

Triton is told of a GPU, and kernels are compiled for each launch and not launched.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class _Driver:
    """What Triton asks of a GPU before it compiles."""

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget  # type: ignore[import-untyped]

        return GPUTarget("cuda", 80, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


class Compiled:
    """Takes the place of a kernel in its module, and compiles it down to machine code.

    Args:
        module: where the kernel is.
        name: its name there.
    """

    def __init__(self, module: ModuleType, name: str) -> None:
        import triton  # type: ignore[import-untyped]

        triton.runtime.driver.set_active(_Driver())
        self.kernel = getattr(module, name)
        setattr(module, name, self)

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *args, **options: self.kernel.warmup(*args, grid=grid, **options)

    @property
    def count(self) -> int:
        """How many forms of the kernel have been compiled."""
        return len(self.kernel.device_caches[0][0])


def run(script: str, cache: Path) -> list[str]:
    """The lines that a Python script prints, which may import this module.

    Args:
        script: its text.
        cache: an empty folder for what is compiled.
    """
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]),
            "TRITON_CACHE_DIR": str(cache),
            "TRITON_INTERPRET": "0",
        },
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout.split("\n")[:-1]
