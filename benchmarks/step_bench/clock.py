"""When each part of a step ends."""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter

import torch


class Clock:
    """Marks the ends of the parts of a step, of which each begins where the one before ends.

    On a GPU the marks are events in its stream, so that the host goes on at once, as it does in
    training: a part is what passes on the GPU's side until all that was asked of it is done, with
    the time that it waits for the host to ask.

    Args:
        device: where the step computes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._parts: list[str] = []
        self._seconds: list[float] = []
        self._events: list[torch.cuda.Event] = []

    def start(self) -> None:
        """Begins the first part; all that was asked of a GPU before is done first."""
        self._parts, self._seconds, self._events = [], [], []
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._now()

    def end(self, part: str) -> None:
        """Ends a part, which may have been ended before in this step: then they add up."""
        self._now()
        self._parts.append(part)

    def _now(self) -> None:
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            self._events.append(event)
        else:
            self._seconds.append(perf_counter())

    def read(self) -> dict[str, float]:
        """Milliseconds of each part since `start`; waits for a GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            passed = [begin.elapsed_time(end) for begin, end in pairwise(self._events)]
        else:
            passed = [1e3 * (end - begin) for begin, end in pairwise(self._seconds)]
        found = dict.fromkeys(self._parts, 0.0)
        for part, milliseconds in zip(self._parts, passed, strict=True):
            found[part] += milliseconds
        return found
