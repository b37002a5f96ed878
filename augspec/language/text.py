"""A text whose characters know their line and column."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from augspec.language.diagnostics import Diagnostic, Position

_LINE_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Span:
    """A stretch of one line.

    Attributes:
        position: its first character.
        length: how many characters it has; at least 1, so that a caret can stand under it.
    """

    position: Position
    length: int


class Text:
    """A file's text, or the part of it that is read.

    Attributes:
        name: the name by which the person knows the file.
        part: the part that is read; every index below counts from its beginning.
        lines: all lines, without their line breaks.
    """

    def __init__(self, name: str, content: str, start: int = 0, end: int | None = None) -> None:
        self.name = name
        self.part = content[start:end]
        breaks = list(_LINE_BREAK.finditer(content))
        self._offset = start
        self._starts = [0, *(match.end() for match in breaks)]
        ends = [*(match.start() for match in breaks), len(content)]
        self.lines = tuple(content[a:b] for a, b in zip(self._starts, ends, strict=True))

    def position(self, index: int) -> Position:
        """The line and column of the character at `index`."""
        line, column = self._locate(index)
        return Position(self.name, line + 1, column + 1)

    def span(self, start: int, end: int) -> Span:
        """The characters from `start` to `end`, as far as they stand on the first one's line."""
        line, column = self._locate(start)
        room = len(self.lines[line]) - column
        return Span(self.position(start), max(1, min(end - start, room)))

    def diagnostic(self, span: Span | int, message: str) -> Diagnostic:
        """A mistake at this span, or at the character with this index."""
        if isinstance(span, int):
            span = self.span(span, span + 1)
        line = self.lines[span.position.line - 1]
        return Diagnostic(span.position, message, line, span.length)

    def _locate(self, index: int) -> tuple[int, int]:
        line = bisect_right(self._starts, index + self._offset) - 1
        return line, index + self._offset - self._starts[line]
