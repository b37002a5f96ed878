"""What a contestant is: a name, and a way to prepare a call that makes the two views of a batch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter

import torch
from torch import Tensor

from pipeline_bench.workloads import Workload

Views = Sequence[Tensor]


class CannotRunError(Exception):
    """A contestant cannot do this work here; the message says why."""


@dataclass(frozen=True)
class Job:
    """What a contestant is asked to do.

    Attributes:
        workload: recipe and sizes.
        images: uint8 `(B, 3, H, W)` on `device`, or the bytes of B JPEG files.
        device: where the views must lie.
        threads: how many CPU threads, or processes, may work.
    """

    workload: Workload
    images: Tensor | list[bytes]
    device: torch.device
    threads: int

    def batch(self) -> Tensor:
        """The images, where they are one tensor."""
        if isinstance(self.images, list):
            raise CannotRunError("works on images of one size only")
        return self.images


@dataclass(frozen=True)
class Prepared:
    """A contestant, ready to run.

    Attributes:
        views: makes the two views, float32 `(B, 3, S, S)`, normalised; each call draws anew.
        parts: calls that do a part of the work alone, by name.
        note: what was chosen while preparing, for the report.
        processes: ids of the worker processes, whose memory counts too.
        close: ends them.
        forget: gives back memory that is kept from one call for the next: it counts as the call's.
    """

    views: Callable[[], Views]
    parts: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    note: str = ""
    processes: Sequence[int] = ()
    close: Callable[[], None] = lambda: None
    forget: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Contestant:
    """One way to make the views.

    Attributes:
        name: for the command line.
        label: for people.
        prepare: called in a process of the contestant's own.
        modules: what it imports beyond what the project depends on.
        devices: types of device that it runs on.
        floor: whether it only moves memory, and its views show nothing.
    """

    name: str
    label: str
    prepare: Callable[[Job], Prepared]
    modules: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")
    floor: bool = False

    def missing(self) -> str:
        """The first module that is not installed, or nothing."""
        return next((m for m in self.modules if importlib.util.find_spec(m) is None), "")


def fastest(ways: Mapping[str, Callable[[], object]], device: torch.device) -> str:
    """The name of the fastest of some calls: each is warmed up once, then the better of two."""
    times = {}
    for name, way in ways.items():
        way()
        times[name] = min(_seconds(way, device) for _ in range(2))
    return min(times, key=lambda name: times[name])


def _seconds(way: Callable[[], object], device: torch.device) -> float:
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = perf_counter()
    way()
    wait()
    return perf_counter() - start


def parallel(threads: int) -> ThreadPoolExecutor:
    """Threads for work that leaves Python, such as decoding; each runs torch on one core."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
