"""Memory that is used again."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from augspec.kernels import memory
from augspec.kernels.memory import LARGE, empty

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="blocks are kept on Linux only")


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    gc.collect()
    memory._blocks.clear()


def test_freed_memory_is_used_again() -> None:
    first = empty(4 * LARGE)
    address = first.data_ptr()
    del first
    assert empty(3 * LARGE).data_ptr() == address


USES: dict[str, Callable[[Tensor], object]] = {
    "view": lambda whole: whole.reshape(4, -1)[1, 3:],
    "array": lambda whole: whole.numpy()[7:],
    "other dtype": lambda whole: whole.view(torch.float32).reshape(2, 2, -1).permute(2, 0, 1),
}


@pytest.mark.parametrize("kind", USES)
def test_memory_that_is_in_use_is_nobody_elses(kind: str) -> None:
    whole = empty(4 * LARGE)
    address, user = whole.data_ptr(), USES[kind](whole)
    del whole
    other = empty(4 * LARGE)
    assert other.data_ptr() != address
    del user
    assert empty(4 * LARGE).data_ptr() == address


def test_much_larger_blocks_wait_for_what_needs_them() -> None:
    large = empty(16 * LARGE)
    address = large.data_ptr()
    del large
    small = empty(2 * LARGE)
    assert small.data_ptr() != address
    assert empty(16 * LARGE).data_ptr() == address


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "KEPT", 6 * LARGE)
    for block in [empty(k * LARGE) for k in (2, 3, 4)]:
        block.fill_(1)
        del block
    gc.collect()
    assert sum(map(len, memory._blocks)) <= 6 * LARGE


def test_small_memory_is_torchs() -> None:
    tensor = empty(LARGE - 1)
    tensor.fill_(3)
    assert tensor.shape == (LARGE - 1,) and not memory._blocks
    del tensor
    assert not memory._blocks


def test_threads_never_share_a_block() -> None:
    def work(number: int) -> bool:
        fine = True
        for _ in range(200):
            block = empty(LARGE)
            block.fill_(number)
            fine &= bool((block == number).all())
        return fine

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


FORKED = """
import os
from augspec.kernels.memory import LARGE, empty

mine = empty(2 * LARGE).numpy()  # numpy writes: torch's threads do not survive a fork
mine[:] = 1
kept = empty(2 * LARGE)
address = kept.data_ptr()
del kept
process = os.fork()
if not process:
    mine[:] = 2
    again = empty(2 * LARGE)  # the block that both processes keep
    again.numpy()[:] = 3
    os._exit(0 if again.data_ptr() == address else 1)
assert os.waitpid(process, 0)[1] == 0
assert (mine == 1).all()
again = empty(2 * LARGE)
assert again.data_ptr() == address and not (again.numpy() == 3).any()
"""


def test_a_forked_process_does_not_write_into_its_parents_memory() -> None:
    # in a process of its own: this one has threads, whose locks a fork would copy as they are
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=120)
