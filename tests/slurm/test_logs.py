"""Logs, while something writes them."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from slurm_jobs import until

from slurm.logs import BLOCK, FARTHEST, LONGEST, Line, follow, tail


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurm.logs.PAUSE", 0.02)


class Following:
    """Follows files from a thread, as `equimod logs -f` does."""

    def __init__(self, *paths: Path) -> None:
        self.lines: list[Line] = []
        self.looks = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(paths,))

    def _run(self, paths: tuple[Path, ...]) -> None:
        for line in follow(paths, self._stop):
            self.lines.append(line)

    def _stop(self) -> bool:
        self.looks += 1
        return self._done.is_set()

    def texts(self, path: Path) -> list[str]:
        return [line.text for line in self.lines if line.path == path]

    def look(self) -> None:
        """Waits until all that is there now was read."""
        before = self.looks
        until(lambda: self.looks > before + 1, "another look", 10)

    @contextmanager
    def running(self) -> Iterator[Following]:
        self._thread.start()
        try:
            until(lambda: self.looks > 0, "the first look", 10)
            yield self
        finally:
            self._done.set()
            self._thread.join(30)
        assert not self._thread.is_alive()


def writing(path: Path, code: str) -> subprocess.Popen[bytes]:
    """A process that writes to a file without a buffer."""
    head = f"import os, time\nfile = open({str(path)!r}, 'ab', 0)\n"
    return subprocess.Popen([sys.executable, "-c", head + code])


def add(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


@pytest.mark.parametrize(
    ("content", "count", "expected"),
    [
        (b"", 3, []),
        (b"\n", 3, [""]),
        (b"a\nb\nc\n", 2, ["b", "c"]),
        (b"a\nb\nc", 2, ["b", "c"]),
        (b"a\nb\n", 9, ["a", "b"]),
        (b"a\nb\n\n", 1, [""]),
        (b"a\nb\n", 0, []),
        (b"10%\r20%\r30%", 1, ["30%"]),
        (b"10%\r20%\r\nb\r\n", 2, ["20%", "b"]),
        (b"gr\xfcn\n", 1, ["gr\ufffdn"]),
        ("grün\n".encode() * BLOCK, 2, ["grün", "grün"]),
        (b"x" * (BLOCK - 1) + b"\n" + b"y" * BLOCK + b"\n", 1, ["y" * BLOCK]),
    ],
)
def test_the_end_of_a_log(tmp_path: Path, content: bytes, count: int, expected: list[str]) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert tail(path, count) == expected


def test_the_end_of_a_large_log_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.seek(2**28)  # of which the disk holds nothing
        file.write(b"\n" + b"".join(b"%d\n" % k for k in range(100_000)))
    tracemalloc.start()
    assert tail(path, 20_000) == [str(k) for k in range(80_000, 100_000)]
    assert tail(path, 200_000)[-1] == "99999"
    assert tracemalloc.get_traced_memory()[1] < 6 * FARTHEST
    tracemalloc.stop()


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tail(tmp_path / "log", 3)


@pytest.mark.parametrize("lines", [0, 1, 2, 9])
def test_nothing_is_lost_between_the_end_and_what_follows(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "a"
    path.write_text("one\ntwo\nthr")

    def stop() -> bool:
        with path.open("a") as file:
            file.write("ee\nfour\n")
        return True

    seen = [line.text for line in follow([path], stop, lines)]
    every = ["one", "two", "three", "four"]
    assert seen == {0: ["ee", "four"], 1: ["three", "four"], 2: every[1:], 9: every}[lines]


def test_two_logs_that_processes_write(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("old\n")
    code = "for k in range(300): file.write(b'%d\\n' % k); time.sleep(0.002)"
    with Following(first, second).running() as following:
        processes = [writing(path, code) for path in (first, second)]  # one is not there yet
        assert [process.wait(60) for process in processes] == [0, 0]
    for path in (first, second):
        assert following.texts(path) == [str(k) for k in range(300)]


def test_a_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"begun ")
    with Following(path).running() as following:
        add(path, b"and gr\xc3")
        following.look()
        assert following.lines == []
        add(path, b"\xbcn\n\nloss \xff\n12%\r50%\r")
        until(lambda: len(following.lines) == 3, "the lines", 10)
        add(path, b"\n99%\r100%")
        until(lambda: len(following.lines) == 4, "the line with two ends", 10)
        following.look()
    texts = ["and grün", "", "loss \ufffd", "50%", "100%"]
    assert following.texts(path) == texts


@pytest.mark.parametrize("new", [b"c\n", b"other one\nanother\n", b"longer than before\n" * 9])
@pytest.mark.parametrize("how", ["truncated", "truncated between two looks", "replaced", "removed"])
def test_a_log_that_is_begun_anew(tmp_path: Path, how: str, new: bytes) -> None:
    path, other = tmp_path / "log", tmp_path / "other"
    path.write_bytes(b"seen before\n")
    with Following(path).running() as following:
        add(path, b"half")
        following.look()
        if how == "truncated":
            path.write_bytes(b"")
            following.look()
            add(path, new)
        elif how == "truncated between two looks":
            path.write_bytes(new)
        elif how == "replaced":
            other.write_bytes(new)
            other.rename(path)
        else:
            path.unlink()
            following.look()
            path.write_bytes(new)
    assert following.texts(path) == ["half", *new.decode().splitlines()]


def test_a_new_log_that_begins_like_the_old_one(tmp_path: Path) -> None:
    path, new = tmp_path / "log", tmp_path / "new"
    path.write_bytes(b"first\n")
    with Following(path).running() as following:
        new.write_bytes(b"first\nsecond\n")
        new.rename(path)
    assert following.texts(path) == ["first", "second"]


def test_a_log_that_is_touched_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"seen before\n")
    with Following(path).running() as following:
        add(path, b"new\n")
        following.look()
        path.touch()
        following.look()
    assert following.texts(path) == ["new"]


def test_a_progress_bar_without_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    bar, long = (b"\r" + b"#" * 999) * 20_000, b"y" * (2 * LONGEST + 7)
    written = iter((bar, bar, b"\rdone\n" + long))

    def stop() -> bool:
        new = next(written, b"")
        add(path, new)
        return not new

    tracemalloc.start()
    first, *pieces = (line.text for line in follow([path], stop))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first == "done"
    assert "".join(pieces) == long.decode()
    assert all(len(text) <= LONGEST + BLOCK for text in pieces)
    assert peak < 10 * LONGEST < path.stat().st_size / 4


def test_what_was_written_last_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "log"
    code = "for k in range(50): file.write(b'%d\\n' % k)\nfile.write(b'end')"
    with Following(path).running() as following:
        assert writing(path, code).wait(60) == 0
    assert following.texts(path) == [*map(str, range(50)), "end"]
