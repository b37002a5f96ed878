"""Signals: they set a flag, a second Ctrl-C acts as ever, and afterwards nobody listens."""

from __future__ import annotations

import os
import signal

import pytest

from equimod.training.interrupt import SIGNALS, StopFlag


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_sets_the_flag(number: signal.Signals) -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stop = StopFlag()
    with stop.listening():
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.signal is number
    assert {number: signal.getsignal(number) for number in SIGNALS} == before
    assert stop


def test_the_second_interrupt_is_an_interrupt() -> None:
    stop = StopFlag()
    with pytest.raises(KeyboardInterrupt), stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.signal is signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_warning_and_the_end_together_are_one_stop() -> None:
    stop = StopFlag()
    with stop.listening():
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert stop.signal is signal.SIGUSR2
