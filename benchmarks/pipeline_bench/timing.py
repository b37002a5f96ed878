"""Times of single calls, and what is said of many of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import quantiles
from time import perf_counter

import torch


def milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """How long one call takes; on a GPU, from its first kernel's start to its last one's end."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end)
    begun = perf_counter()
    made = call()
    elapsed = (perf_counter() - begun) * 1e3
    del made  # freeing the result is no part of making it
    return elapsed


@dataclass(frozen=True)
class Quartiles:
    """The quartiles of some numbers."""

    q1: float
    median: float
    q3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quartiles:
        """Of at least one number."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*quantiles(values, n=4, method="inclusive"))

    def rate(self, count: int) -> Quartiles:
        """Times in ms for `count` things each, as things a second."""
        return Quartiles(count * 1e3 / self.q3, count * 1e3 / self.median, count * 1e3 / self.q1)

    def document(self) -> dict[str, float]:
        """As a mapping, for a file."""
        return asdict(self)
