"""Draws, codes and reference views are the same bits with other instructions, threads and devices.

Of the processor's instruction sets, what a process may use is set before it starts, so each run of
`everywhere.py` is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("everywhere.py")
PLAIN = {
    "ATEN_CPU_CAPABILITY": "default",  # no AVX: no fused multiply-add, and sums in another order
    "MKL_CBWR": "COMPATIBLE",  # matrix products as on the oldest processors
    "ONEDNN_MAX_CPU_ISA": "SSE41",  # and convolutions
    "OMP_WAIT_POLICY": "PASSIVE",  # where two threads have no processor each, spinning takes ages
}


def run(device: str, threads: int = 1, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), device],
        env={**os.environ, "OMP_NUM_THREADS": str(threads), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    return run("cpu")


def differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    assert list(a) == list(b)
    return [f"{name}: {kind}" for name in a for kind in a[name] if a[name][kind] != b[name][kind]]


@pytest.mark.slow
def test_other_instructions_and_threads(here: dict[str, Any]) -> None:
    assert len(here) > 150
    assert differing(here, run("cpu", threads=2, **PLAIN)) == []


@pytest.mark.gpu
def test_a_gpu(here: dict[str, Any]) -> None:
    assert differing(here, run("cuda")) == []
