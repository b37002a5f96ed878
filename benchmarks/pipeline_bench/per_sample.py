"""Libraries that augment one image at a time, on as many cores as the others use.

In practice `DataLoader` workers do this. Here, so that the loader's queues do not count against
these libraries, each worker process makes its share of a batch and writes it where the caller reads
it: what a loader would reach if it cost nothing. Threads are tried too, and the faster way is kept.
`loop` is the form that needs no loader: one sample after the other, in the caller's own process.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pipeline_bench.contestant import CannotRunError, Job, Prepared, fastest, parallel

TwoViews: TypeAlias = Callable[[Any], tuple[Tensor, Tensor]]
MakeTwoViews: TypeAlias = Callable[[], TwoViews]
"""Makes the function that turns one sample into its two views; called once in each worker."""


def prepare(job: Job, samples: Sequence[Any], make: MakeTwoViews) -> Prepared:
    """A call that makes the views of all samples.

    Args:
        job: how many threads, and where the views must lie.
        samples: what `make()` takes, one for each image of the batch.
        make: see `MakeTwoViews`.
    """
    if job.device.type != "cpu":  # one process queues the kernels of all samples
        return loop(job, samples, make)
    out = _shared(_shape(job, samples))
    shares = [range(k, len(samples), job.threads) for k in range(job.threads)]
    # forked as `DataLoader` does on Linux, and before any thread runs
    workers = [_Worker(out, make, samples, share, seed) for seed, share in enumerate(shares)]
    pool = parallel(job.threads)
    # a set of transforms for each thread: kept state, such as drawn parameters, is not shared
    own = [(make(), share) for share in shares]

    def by_processes() -> tuple[Tensor, ...]:
        for worker in workers:
            worker.begin()
        for worker in workers:
            worker.wait()
        return tuple(out)

    def by_threads() -> tuple[Tensor, ...]:
        list(pool.map(lambda mine: _fill(out, mine[0], samples, mine[1]), own))
        return tuple(out)

    def close() -> None:
        pool.shutdown()
        for worker in workers:
            worker.end()

    ways = {"worker processes": by_processes, "threads": by_threads}
    choice = fastest(ways, job.device)
    identities = [worker.process.pid or 0 for worker in workers]
    chosen = identities if ways[choice] is by_processes else []
    return Prepared(ways[choice], note=f"{job.threads} {choice}", processes=chosen, close=close)


def loop(job: Job, samples: Sequence[Any], make: MakeTwoViews) -> Prepared:
    """A call that makes the views of all samples in this process, one after the other.

    Args:
        job: where the views must lie; each op may use all its threads.
        samples: see `prepare`.
        make: see `MakeTwoViews`.
    """
    out, two_views = torch.empty(_shape(job, samples), device=job.device), make()
    note = f"one process, {job.threads} threads an op" if job.device.type == "cpu" else ""
    return Prepared(lambda: _fill(out, two_views, samples, range(len(samples))), note=note)


def _shape(job: Job, samples: Sequence[Any]) -> tuple[int, ...]:
    """Of the views of a batch: `(2, B, 3, S, S)`."""
    return (2, len(samples), 3, *[job.workload.recipe().size] * 2)


def _fill(
    out: Tensor, two_views: TwoViews, samples: Sequence[Any], share: Sequence[int]
) -> tuple[Tensor, ...]:
    """Writes the views of some samples into `out` `(2, B, 3, S, S)`, and returns the two halves."""
    for place in share:
        out[0, place], out[1, place] = two_views(samples[place])
    return tuple(out)


def _shared(shape: tuple[int, ...]) -> Tensor:
    """Zeros, float32, that a forked process writes and this one reads."""
    count = int(np.prod(shape))
    # memory of no file: /dev/shm is too small for a batch in many containers
    return torch.frombuffer(mmap.mmap(-1, count * 4), dtype=torch.float32).view(shape)


class _Worker:
    """A process that makes its share of the batch whenever it is told to."""

    def __init__(
        self,
        out: Tensor,
        make: MakeTwoViews,
        samples: Sequence[Any],
        share: Sequence[int],
        seed: int,
    ) -> None:
        context = multiprocessing.get_context("fork")
        self._here, there = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(there, out, make, samples, share, seed), daemon=True
        )
        self.process.start()
        there.close()

    def begin(self) -> None:
        self._here.send(True)

    def wait(self) -> None:
        try:
            failure = self._here.recv()
        except EOFError:
            raise CannotRunError("a worker process ended") from None
        if failure:
            raise CannotRunError(failure)

    def end(self) -> None:
        with suppress(OSError):
            self._here.send(False)
        self.process.join()


def _serve(
    there: Connection,
    out: Tensor,
    make: MakeTwoViews,
    samples: Sequence[Any],
    share: Sequence[int],
    seed: int,
) -> None:
    """What a worker process does: fills its share each time it is told to."""
    torch.set_num_threads(1)
    for seeded in (torch.manual_seed, random.seed, np.random.seed):
        seeded(seed)
    two_views = make()
    with suppress(EOFError):
        while there.recv():
            try:
                _fill(out, two_views, samples, share)
                there.send("")
            except Exception as error:
                there.send(f"{type(error).__name__}: {error}")
    os._exit(0)  # no clean-up of what the fork copied
