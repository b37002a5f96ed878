"""Reading logs while they are written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PAUSE = 0.2
"""Seconds between two looks at a file: network disks announce nothing."""
BLOCK = 2**16


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
    blocks: list[bytes] = []
    with path.open("rb") as file:
        position = file.seek(0, 2)
        # one more, since the last block may begin within a line
        while position > 0 and sum(block.count(b"\n") for block in blocks) <= count:
            size = min(BLOCK, position)
            position -= size
            file.seek(position)
            blocks.append(file.read(size))
    lines = b"".join(reversed(blocks)).removesuffix(b"\n").split(b"\n")
    shown = [_text(line) for line in lines[-count:]] if count else []
    return [] if shown == [""] else shown


@dataclass
class _Open:
    """A file that is followed: how far it was read, and the line that has no end yet."""

    path: Path
    position: int
    rest: bytes = field(default=b"")

    def lines(self) -> Iterator[Line]:
        try:
            size = self.path.stat().st_size
        except OSError:
            return  # not there yet, or not there at the moment
        if size < self.position:  # written anew
            self.position, self.rest = 0, b""
        if size == self.position:
            return
        with self.path.open("rb") as file:
            file.seek(self.position)
            new = file.read(size - self.position)
        self.position += len(new)
        *whole, self.rest = (self.rest + new).split(b"\n")
        for line in whole:
            yield Line(self.path, _text(line))


def follow(paths: Sequence[Path], stop: Callable[[], bool]) -> Iterator[Line]:
    """What is appended to files from now on.

    A file need not exist yet; one that was begun anew is read from its beginning.

    Args:
        paths: of the files.
        stop: asked between two looks; after it has said yes, what is there is read to the end.

    Yields:
        Lines, those of one file in their order, each when it is complete; what has no end, last.
    """
    files = [_Open(path, path.stat().st_size if path.is_file() else 0) for path in paths]
    last = False
    while True:
        for file in files:
            yield from file.lines()
        if last:
            break
        last = stop()
        if not last:
            time.sleep(PAUSE)
    yield from (Line(file.path, _text(file.rest)) for file in files if file.rest)


def _text(line: bytes) -> str:
    """A line as a terminal would show it: of what a progress bar wrote over itself, the end."""
    return line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
