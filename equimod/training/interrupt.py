"""Interruption: a signal sets a flag, and training stops at the next step, with a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")  # the last two: a scheduler's warnings
    if hasattr(signal, name)
)


class InterruptedRunError(Exception):
    """The run was asked to stop, and did, after writing a checkpoint."""


class StopFlag:
    """Whether a signal has asked for a stop.

    Nothing is done inside the signal handler: it may run in the middle of any write.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @contextmanager
    def listening(self) -> Iterator[StopFlag]:
        """Catches signals. A second SIGINT, from a person in a hurry, acts as if nobody listened.

        A second one of another kind does not: a cluster may send a warning and the end together,
        and then gives some time.
        """
        previous = {number: signal.getsignal(number) for number in SIGNALS}

        def note(number: int, frame: FrameType | None) -> None:
            if self.signal is None:
                self.signal = signal.Signals(number)
            if number == signal.SIGINT:
                signal.signal(number, previous[signal.SIGINT])

        for number in SIGNALS:
            signal.signal(number, note)
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
