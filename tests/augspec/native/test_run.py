"""Threads that share a range of work."""

from __future__ import annotations

import os
import threading

import pytest

from augspec.native.run import in_threads


@pytest.mark.parametrize("total", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_everything_is_done_once(total: int, threads: int) -> None:
    done, lock = [0] * total, threading.Lock()

    def work(begin: int, end: int) -> None:
        with lock:
            for i in range(begin, end):
                done[i] += 1

    in_threads(work, total, threads)
    assert done == [1] * total


def test_an_error_in_any_thread_reaches_the_caller() -> None:
    def work(begin: int, end: int) -> None:
        if begin:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_threads(work, 64, 2)


def test_a_forked_process_has_threads_of_its_own() -> None:
    in_threads(lambda begin, end: None, 8, 2)  # so that this process has a pool
    process = os.fork()
    if not process:
        found: list[int] = []
        in_threads(lambda begin, end: found.extend(range(begin, end)), 8, 2)
        os._exit(0 if sorted(found) == list(range(8)) else 1)
    assert os.waitpid(process, 0)[1] == 0
