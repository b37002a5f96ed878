"""Time and peak memory of EquiMod's loss, forward and backward, beside its plain form.

The plain form makes all logits at once. Both are given two views of N images, hence 4N rows. Times
are of interleaved repeats in one process; memory is how much the resident memory of a fresh process
(on a GPU: what torch has allocated there) grows at its peak, over that of before the step, where
the embeddings are already in memory. It takes two minutes and 4 GB; where other work goes on, only
the least times mean something.

    python benchmarks/loss.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from equimod.contrast import CHUNK_BYTES
from equimod.losses import equivariance_nt_xent

T = TypeVar("T")

VIEWS = 2
TEMPERATURE = 0.2
TARGET_MB = 400
"""What the peak of the last size must stay under, on the CPU."""


class Size(NamedTuple):
    """A problem: N images, D columns, and how often to time it."""

    images: int
    dim: int
    repeats: int

    @property
    def rows(self) -> int:
        """All rows that are contrasted, 2VN."""
        return 2 * VIEWS * self.images


SIZES = (Size(128, 64, 101), Size(512, 128, 31), Size(4096, 128, 5))


def chunked(embeddings: Sequence[Tensor]) -> Tensor:
    """The loss of this project."""
    return equivariance_nt_xent(embeddings[:VIEWS], embeddings[VIEWS:], TEMPERATURE)


def plain(embeddings: Sequence[Tensor]) -> Tensor:
    """The same with all logits in one tensor `(4N, 4N)`, as cross entropy of the partners."""
    rows = F.normalize(torch.cat(tuple(embeddings)), dim=1)
    logits = (rows @ rows.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    partners = torch.arange(len(rows), device=rows.device).roll(len(rows) // 2)
    return F.cross_entropy(logits, partners)


FORMS: dict[str, Callable[[Sequence[Tensor]], Tensor]] = {"plain": plain, "chunked": chunked}


def embeddings_of(size: Size, device: str) -> list[Tensor]:
    """Embeddings `(N, D)` of the views, then predictions that resemble them."""
    generator = torch.Generator().manual_seed(0)
    shape = (VIEWS, size.images, size.dim)
    targets = torch.randn(shape, generator=generator)
    both = torch.cat([targets, targets + torch.randn(shape, generator=generator)])
    return [x.to(device).requires_grad_() for x in both]


def step(form: str, embeddings: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The loss and its gradients."""
    loss = FORMS[form](embeddings)
    return loss.detach(), torch.autograd.grad(loss, embeddings)


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def times(size: Size, device: str, threads: int) -> dict[str, list[float]]:
    """Seconds of each step of each form, the forms taking turns."""
    torch.set_num_threads(threads)
    embeddings = embeddings_of(size, device)
    found: dict[str, list[float]] = {form: [] for form in FORMS}
    for repeat in range(size.repeats + 1):
        for form, seconds in found.items():
            synchronize(device)
            start = time.perf_counter()
            step(form, embeddings)
            synchronize(device)
            if repeat:  # the first is for warming up
                seconds.append(time.perf_counter() - start)
    return found


def difference(size: Size, device: str, threads: int) -> tuple[float, float]:
    """How far the forms are apart: relative to the loss, and to the largest of the gradient."""
    torch.set_num_threads(threads)
    embeddings = embeddings_of(size, device)
    (ours, our_gradients), (theirs, their_gradients) = (
        step(form, embeddings) for form in ("chunked", "plain")
    )
    gradients = torch.stack(our_gradients), torch.stack(their_gradients)
    apart = (gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max()
    return float((ours - theirs).abs() / theirs.abs()), float(apart)


def peak(form: str, size: Size, device: str, threads: int) -> float:
    """By how many MB memory grows at the peak of a step; for a process of its own."""
    torch.set_num_threads(threads)
    step(form, embeddings_of(Size(64, size.dim, 1), device))  # libraries set up what they keep
    embeddings = embeddings_of(size, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(form, embeddings)
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    before = resident("VmRSS")
    step(form, embeddings)
    return (resident("VmHWM") - before) / 1e6


def resident(field: str) -> int:
    """Resident memory of this process in bytes: `VmRSS` for now, `VmHWM` for the most so far.

    Where there is no `/proc`, the most so far. The kernel's own count of that, of `getrusage`, is
    also the parent's on Linux.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """What a function returns in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def table(device: str, threads: int) -> Iterator[str]:
    """The lines of a Markdown table, and how its last line stands to the target."""
    times_of = "median ms | quartiles ms | least ms"
    yield f"| {device}: 4N rows | D | form | {times_of} | peak MB | loss | gradient |"
    yield "|--:|--:|---|--:|--:|--:|--:|--:|--:|"
    memory = 0.0
    for size in SIZES:
        seconds = in_fresh_process(times, size, device, threads)
        loss, gradient = in_fresh_process(difference, size, device, threads)
        for form in FORMS:
            low, middle, high = statistics.quantiles([1e3 * x for x in seconds[form]], n=4)
            memory = in_fresh_process(peak, form, size, device, threads)
            differences = f"{loss:.1e} | {gradient:.1e}" if form == "chunked" else "- | -"
            yield (
                f"| {size.rows} | {size.dim} | {form} | {middle:.2f} | {low:.2f} to {high:.2f} | "
                f"{1e3 * min(seconds[form]):.2f} | {memory:.1f} | {differences} |"
            )
    if device == "cpu":
        verdict = "under" if memory < TARGET_MB else "NOT under"
        yield f"\n{SIZES[-1].rows} rows, chunked: {memory:.0f} MB, {verdict} {TARGET_MB} MB"


def processor() -> str:
    """The CPU's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Prints what was compared, where, and the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    threads = parser.parse_args().threads
    if threads < 1:
        parser.error(f"--threads must be at least 1, got {threads}")
    print(
        f"NT-Xent of {VIEWS} views and their predictions, forward and backward, float32, "
        f"temperature {TEMPERATURE}; chunks of {CHUNK_BYTES / 2**20:.0f} MiB.\n"
        f"loss, gradient: the largest difference from the plain form, relative.\n"
        f"Python {platform.python_version()}, torch {torch.__version__}; {processor()}, "
        f"{threads} threads of {os.cpu_count()} cores"
    )
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        if device == "cuda":
            print(f"\n{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
        print()
        for line in table(device, threads):
            print(line, flush=True)


if __name__ == "__main__":
    main()
