"""Mistakes in a document: where they are, and how they are shown to the person who wrote it."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from augspec.language.codes import Code

_WINDOW = 100
"""How many columns of a source line are shown at most."""

_ENOUGH = 2 * _WINDOW
"""How many characters on each side are looked at for that; a line may be as long as the file."""

_TAB = "    "

_LONGEST_NAME = 100
"""Longer words are not taken for misspelt names."""


@dataclass(frozen=True, order=True)
class Position:
    """A place in a file.

    Attributes:
        file: the name by which the person knows the file.
        line: its line, from 1.
        column: its column in characters, from 1.
    """

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Diagnostic:
    """One mistake.

    Attributes:
        position: where it is; None where the mistake is not inside a file.
        message: what is wrong, what was found, and what is allowed.
        source_line: the line of the file at `position`, without its line break.
        span: how many characters of that line are wrong, from `position` on.
        code: the stable code of a mistake in meaning.
    """

    position: Position | None
    message: str
    source_line: str | None = None
    span: int = 1
    code: Code | None = None

    def render(self) -> str:
        """The mistake as text: the place and message, then the line with carets under the place."""
        error = f"error[{self.code}]" if self.code else "error"
        if self.position is None:
            return f"{error}: {self.message}"
        head = f"{self.position}: {error}: {self.message}"
        if self.source_line is None:
            return head
        number = str(self.position.line)
        line, carets = _excerpt(self.source_line, self.position.column - 1, self.span)
        return f"{head}\n  {number} | {line}\n  {' ' * len(number)} | {carets}"


class SpecError(ValueError):
    """What every mistake of a person in a document raises, all mistakes of the document at once.

    Attributes:
        diagnostics: the mistakes, in the order of their places, each once: what is wrong under an
            anchor is wrong again under each of its aliases.
    """

    diagnostics: tuple[Diagnostic, ...]

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = tuple(sorted(dict.fromkeys(diagnostics), key=_place))
        super().__init__(*self.diagnostics)

    def __str__(self) -> str:
        return "\n".join(diagnostic.render() for diagnostic in self.diagnostics)


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that `name` was probably meant to be, or None.

    Case, `-` and `_` do not count as differences, so `GaussianBlur` finds `gaussian_blur`.
    """
    if len(name) > _LONGEST_NAME:
        return None  # nobody meant a name by this, and comparing it would take long
    by_form: dict[str, str] = {}
    for candidate in allowed:
        by_form.setdefault(form(candidate), candidate)
    close = difflib.get_close_matches(form(name), by_form, n=1)
    return by_form[close[0]] if close else None


def meant(name: str, allowed: Iterable[str]) -> str:
    """The end of a message: `; did you mean 'blur'?`, or nothing where no name is near."""
    guess = nearest(name, allowed)
    return f"; did you mean {guess!r}?" if guess else ""


def form(name: str) -> str:
    """The name without what does not count as a difference."""
    return name.lower().replace("-", "").replace("_", "")


def _place(diagnostic: Diagnostic) -> tuple[bool, Position]:
    return diagnostic.position is not None, diagnostic.position or Position("", 0, 0)


def _excerpt(line: str, start: int, span: int) -> tuple[str, str]:
    """The part of a line around `start`, and the carets that stand under its `span` characters.

    The two align on a terminal: tabs become spaces, wide characters count two columns, combining
    ones none.
    """
    marked_end = start + min(span, _ENOUGH)
    before, marked = line[max(0, start - _ENOUGH) : start], line[start:marked_end]
    after = line[marked_end : marked_end + _ENOUGH]
    before, marked, after = _printable(before), _printable(marked), _printable(after)
    if _width(before + marked + after) > _WINDOW:
        marked, cut = _head(marked, _WINDOW // 2)
        before_room = _WINDOW // 3
        after_room = _WINDOW - _WINDOW // 3 - _width(marked)
        if _width(before) > before_room:
            before = "..." + _head(before[::-1], before_room - 3)[0][::-1]
        if cut or _width(after) > after_room:
            after = ("" if cut else _head(after, after_room - 3)[0]) + "..."
    return before + marked + after, " " * _width(before) + "^" * max(1, _width(marked))


def _printable(text: str) -> str:
    """Tabs as spaces, and control characters as a visible mark (they could steer a terminal)."""
    if text.isprintable():
        return text  # nearly every line: a document of many mistakes is not to take seconds
    return "".join(
        _TAB if char == "\t" else "\ufffd" if unicodedata.category(char) == "Cc" else char
        for char in text
    )


def _width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _head(text: str, room: int) -> tuple[str, bool]:
    """As much of the text's beginning as fits, and whether anything was cut."""
    if text.isascii():
        return text[:room], len(text) > room
    used = 0
    for index, char in enumerate(text):
        used += _columns(char)
        if used > room:
            return text[:index], True
    return text, False
