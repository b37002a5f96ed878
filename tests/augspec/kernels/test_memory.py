"""Large pages for large results."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from augspec.kernels.memory import LARGE, advise_large_pages


def advised(address: int) -> bool:
    """Whether the system knows that the memory at this address wants large pages."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        bounds = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
        if bounds:
            inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
        if inside and line.startswith("VmFlags:"):
            return " hg" in line
    raise AssertionError("no such memory")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for large pages")
def test_large_memory_is_advised_and_small_memory_is_not() -> None:
    for count, expected in ((16 * LARGE, True), (LARGE - 1, False)):
        memory = torch.empty(count, dtype=torch.uint8)
        advise_large_pages(memory.data_ptr(), memory.nbytes)
        assert advised(memory.data_ptr() + memory.nbytes // 2) == expected
        memory.fill_(7)
        assert memory.max() == memory.min() == 7
