"""The most memory that a call needs at once, beyond its input.

On a CPU it is read from the operating system: the peak of the process's resident memory during the
call, which Linux resets on request, less what was resident before it. That counts whatever any
library allocates, in C or C++ too; counting tensors would miss OpenCV, Pillow and kernels' scratch.
What lives between calls (shared output buffers, a module's kept parameters) is added: the storages
of all tensors that Python can reach, less the input. The outputs count. Worker processes count with
their own peaks. On a GPU, PyTorch's allocator knows the peak.

A peak that is shorter than a page fault's bookkeeping is not seen: figures are good to about 1 MB.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter


def peak_bytes(
    call: Callable[[], object], device: torch.device, input_bytes: int, processes: Iterable[int]
) -> int | None:
    """The peak of one call, bytes; the largest of three.

    Args:
        call: what is measured, warmed up.
        device: where it works.
        input_bytes: the size of its input on that device.
        processes: ids of worker processes of this one.

    Returns:
        None where the operating system does not tell.
    """
    if device.type == "cuda":
        return max(_peak_cuda(call) for _ in range(3)) - input_bytes
    everyone = ["self", *map(str, processes)]
    if not all(Path(f"/proc/{name}/clear_refs").exists() for name in everyone):
        return None
    gc.collect()
    kept = _tensor_bytes() - input_bytes
    return kept + max(_growth(call, everyone) for _ in range(3))


def _peak_cuda(call: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def _growth(call: Callable[[], object], everyone: list[str]) -> int:
    """How far the resident memory of these processes rises while one call runs, bytes."""
    with suppress(OSError, AttributeError):  # glibc: what was freed goes back, and counts again
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    for name in everyone:
        Path(f"/proc/{name}/clear_refs").write_text("5")
    before = sum(_status(name, "VmRSS") for name in everyone)
    call()
    return sum(_status(name, "VmHWM") for name in everyone) - before


def _tensor_bytes() -> int:
    """Bytes of all storages on the CPU that some tensor in Python refers to."""
    # not their subclasses: the compiler's fake tensors have no memory
    tensors = [x for x in gc.get_objects() if type(x) in (Tensor, Parameter)]
    storages = {
        x.untyped_storage().data_ptr(): x.untyped_storage().nbytes()
        for x in tensors
        if x.device.type == "cpu" and x.layout == torch.strided
    }
    return sum(storages.values())


def _status(process: str, field: str) -> int:
    """A field of `/proc/PID/status` in bytes."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0
