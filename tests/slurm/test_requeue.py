"""Whether a job that has ended early starts again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slurm.attempts import Attempts, Entry, Event, restarts
from slurm.requeue import IDLE_STOPS, LONGEST, Decision, decide


def entries(*events: Event | tuple[Event, dict[str, object]]) -> list[Entry]:
    pairs = [event if isinstance(event, tuple) else (event, {}) for event in events]
    return [Entry(event, float(k), details) for k, (event, details) in enumerate(pairs)]


S, F, R = Event.STARTED, Event.FAILED, Event.REQUEUED
SAVED, UNSAVED = (Event.STOPPED, {"saved": True}), (Event.STOPPED, {"saved": False})
CASES = {
    "finished": ((S, Event.FINISHED), 0, None),
    "stopped": ((S, SAVED), 130, 0),
    "stopped, since another process was killed": ((S, SAVED), 137, 30),
    "stopped for the hundredth time": ((S, SAVED, R) * 99 + (S, SAVED), 130, 0),
    "stopped before it could save": ((S, UNSAVED), 130, 0),
    "never able to save": ((S, UNSAVED, R) * (IDLE_STOPS - 1) + (S, UNSAVED), 130, None),
    "able to save now and then": ((S, UNSAVED, R) * 3 + (S, SAVED, R, S, UNSAVED), 130, 0),
    "a mistake": ((S, (Event.REFUSED, {"status": 2})), 2, None),
    "killed": ((S,), 137, 30),
    "killed again": ((S, F, R, S), 137, 60),
    "killed for the third time": ((S, F, R, S, F, R, S), 137, 120),
    "killed too often": ((S, F, R) * 3 + (S,), 137, None),
    "stops do not count as failures": ((S, SAVED, R) * 5 + (S,), 1, 30),
    "could not even start": ((), 127, 30),
    "cancelled": ((S, Event.CANCELLED), 143, None),
    "cancelled, and has saved": ((S, SAVED, Event.CANCELLED), 130, None),
}


@pytest.mark.parametrize("case", CASES)
def test_decision(case: str) -> None:
    events, status, delay = CASES[case]
    assert decide(entries(*events), status, retries=3, backoff=30).delay == delay


def test_the_wait_doubles_up_to_an_hour() -> None:
    waits = [decide(entries(*(S, F, R) * k, S), 1, retries=99, backoff=60) for k in range(9)]
    assert [wait.delay for wait in waits] == [60, 120, 240, 480, 960, 1920, *[LONGEST] * 3]


def test_no_retries_means_none() -> None:
    decision = decide(entries(S), 137, retries=0, backoff=30)
    assert decision == Decision(None, "failed once, the last time with exit status 137")


def script_asks(folder: Path, job: str, status: int) -> tuple[str, str]:
    """What the batch script is told, and what a person reads."""
    words = [sys.executable, "-m", "slurm.requeue", str(folder), "--job", job]
    more = ["--status", str(status), "--retries", "1", "--backoff", "7"]
    done = subprocess.run([*words, *more], capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr.strip()


def test_the_batch_script_is_told_and_the_record_kept(tmp_path: Path) -> None:
    record = Attempts(tmp_path / "attempts", "12_3")
    record.add(Event.STARTED, restart=0)
    assert script_asks(tmp_path / "attempts", "12_3", 137)[0] == "requeue 7"
    record.add(Event.STARTED, restart=1)
    told, read = script_asks(tmp_path / "attempts", "12_3", 9)
    assert told == "end"
    assert read == "slurm: failed 2 times, the last time with exit status 9"
    found = record.read()
    assert [entry.event for entry in found] == [S, F, R, S, F, Event.GAVE_UP]
    assert found[2].details["delay"] == 7
    assert restarts(found) == 1


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    record = Attempts(tmp_path, "1")
    record.add(Event.STARTED, restart=0)
    with record.path.open("a") as file:
        file.write('{"event": "finis')
    assert [entry.event for entry in record.read()] == [Event.STARTED]


def test_the_batch_script_needs_nothing_slow() -> None:
    code = "import sys, slurm.requeue\n"
    code += "print([m for m in ('torch', 'pydantic', 'submitit') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
