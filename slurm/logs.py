"""Reading logs while they are written."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

PAUSE = 0.2
"""Seconds between two looks at a file: network disks announce nothing."""
BLOCK = 2**16
LONGEST = 2**20
"""Bytes of a line; a longer one is shown in pieces."""
FARTHEST = 2**24
"""Bytes from its end that a file is looked through for its last lines."""
MARK = 64
"""Bytes that must still stand where they did, or the file has been written anew."""


@dataclass(frozen=True)
class Line:
    """A line of a log.

    Attributes:
        path: of the log.
        text: without its end.
    """

    path: Path
    text: str


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a file, read from its end.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = _start_of_tail(file, file.seek(0, os.SEEK_END), count)
        file.seek(start)
        content = file.read()
    return [_text(line) for line in content.removesuffix(b"\n").split(b"\n")] if content else []


def _start_of_tail(file: BinaryIO, size: int, count: int) -> int:
    """Where the last `count` lines of the first `size` bytes begin."""
    position, ends = size, count
    while ends > 0 and position > max(0, size - FARTHEST):
        length = min(BLOCK, position)
        position = file.seek(position - length)
        block = file.read(length)
        if position + length == size and block.endswith(b"\n"):
            block = block[:-1]  # the last line's own end begins no line
        while (at := block.rfind(b"\n")) >= 0:
            ends -= 1
            if not ends:
                return position + at + 1
            block = block[:at]
    return position


@dataclass
class _Followed:
    """A file that is followed.

    Attributes:
        path: of the file.
        seen: the file's number, its size and when it was changed, as of the last look.
        position: how far it was read.
        mark: what stands before that position.
        rest: the line that has no end yet.
    """

    path: Path
    seen: tuple[int, int, int] | None = None
    position: int = 0
    mark: bytes = b""
    rest: bytes = field(default=b"", repr=False)

    def begin(self, lines: int) -> None:
        """Passes over what is there already, but for the last lines."""
        try:
            with self.path.open("rb") as file:
                number, size, changed = _look(os.fstat(file.fileno()))
                self.position = _start_of_tail(file, size, lines)
                self.seen = number, self.position, changed
                file.seek(max(0, self.position - MARK))
                self.mark = file.read(self.position - file.tell())
        except FileNotFoundError:
            pass

    def lines(self) -> Iterator[Line]:
        """What was added since the last look."""
        try:
            if _look(self.path.stat()) == self.seen:
                return
            file = self.path.open("rb")
        except OSError as error:
            # not there yet, or not at the moment: a network disk shows a replaced file as stale
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return
            raise
        with file:
            now = _look(os.fstat(file.fileno()))
            if self._written_anew(file, now[0]):
                yield from self.end()
                self.position, self.mark = 0, b""
            self.seen = now
            file.seek(self.position)
            while new := file.read(min(BLOCK, max(0, now[1] - self.position))):
                self.position += len(new)
                self.mark = (self.mark + new)[-MARK:]
                yield from self._split(new)

    def _written_anew(self, file: BinaryIO, number: int) -> bool:
        if self.seen is not None and self.seen[0] != number:
            return True
        file.seek(self.position - len(self.mark))
        return file.read(len(self.mark)) != self.mark

    def _split(self, new: bytes) -> Iterator[Line]:
        *whole, rest = (self.rest + new).split(b"\n")
        for line in whole:
            yield Line(self.path, _text(line))
        # a progress bar writes over itself without an end; the last return may be half of one
        self.rest = rest[rest.rstrip(b"\r").rfind(b"\r") + 1 :]
        if len(self.rest) > LONGEST:
            yield from self.end()

    def end(self) -> Iterator[Line]:
        """The line that has no end, if there is one."""
        if self.rest:
            yield Line(self.path, _text(self.rest))
            self.rest = b""


def follow(paths: Sequence[Path], stop: Callable[[], bool], lines: int = 0) -> Iterator[Line]:
    """The last lines of files, and what is appended from now on.

    A file need not exist yet; one that was replaced or written anew is read from its beginning.

    Args:
        paths: of the files.
        stop: asked between two looks; after it has said yes, what is there is read to the end.
        lines: of what is there already, from each file.

    Yields:
        Lines, those of one file in their order, each when it is complete; what has no end, last.

    Raises:
        OSError: a file cannot be read.
    """
    files = [_Followed(path) for path in paths]
    for file in files:
        file.begin(lines)
    last = False
    while True:
        for file in files:
            yield from file.lines()
        if last:
            break
        last = stop()
        if not last:
            time.sleep(PAUSE)
    for file in files:
        yield from file.end()


def _look(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _text(line: bytes) -> str:
    """A line as a terminal would show it: of what a progress bar wrote over itself, the end."""
    return line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
