"""A document as plain data that knows where each key and value was written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from augspec.language.codes import Code
from augspec.language.diagnostics import Diagnostic, Position, SpecError, nearest
from augspec.language.parser import Node, parse
from augspec.language.text import Span, Text

Path = tuple[str | int, ...]
"""The keys and indexes that lead from the root of a document to a value."""

MAX_BYTES = 10_000_000
"""How large a file may be, together with all that it extends."""


@dataclass(frozen=True)
class Origin:
    """The `let` that wrote what stands somewhere else in the document.

    Attributes:
        name: the name of the `let`.
        span: where, inside it, the text stands.
    """

    name: str
    span: Span

    def __str__(self) -> str:
        return f"let.{self.name}, {self.span.position}"


@dataclass(frozen=True)
class Mark:
    """Where one value of a document was written.

    Attributes:
        value: the value's own place.
        key: its key's place; None for the root and for the items of a list.
        value_from: the `let` that wrote the value, where `value` is only the place of its use.
        key_from: the same of the key.
    """

    value: Span
    key: Span | None = None
    value_from: Origin | None = None
    key_from: Origin | None = None


@dataclass(frozen=True)
class Source:
    """A document and its places, which may lie in several files.

    Attributes:
        data: mappings, lists, strings, numbers, truth values and None.
        marks: the place of the value at each path.
        lines: the lines of each file that the marks speak of.
    """

    data: Any
    marks: Mapping[Path, Mark]
    lines: Mapping[str, tuple[str, ...]]

    def at(self, path: Path, *, key: bool = False) -> Position:
        """Where the value at `path` was written, or its key.

        What the document does not hold has the place of its nearest ancestor.
        """
        return self._span(tuple(path), key)[0].position

    def diagnostic(
        self, path: Path, message: str, *, key: bool = False, code: Code | None = None
    ) -> Diagnostic:
        """A mistake in the value at `path`, or in its key.

        What a `let` wrote is shown where it is used, and the message ends with where it was
        written: a value is right or wrong only for the field that takes it, and one `let` may be
        right in one place and wrong in another.
        """
        span, origin = self._span(tuple(path), key)
        line = self.lines[span.position.file][span.position.line - 1]
        if origin is not None:
            message += f" (from {origin})"
        return Diagnostic(span.position, message, line, span.length, code)

    def _span(self, path: Path, key: bool) -> tuple[Span, Origin | None]:
        mark = self.marks.get(path)
        if mark is None:
            return self._span(path[:-1], False)
        if key and mark.key is not None:
            return mark.key, mark.key_from
        return mark.value, mark.value_from


def read_source(path: str | FilePath, name: str | None = None) -> Source:
    """Reads a YAML or JSON file.

    Args:
        path: the file.
        name: its name in error messages, if not the path.

    Raises:
        SpecError: it cannot be read, is not UTF-8, is larger than 10 MB, or is not a document (see
            `parse_source`).
    """
    name = os.fspath(path) if name is None else name
    try:
        with FilePath(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(Diagnostic(None, f"no such file: {name}{_similar_file(name)}")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(Diagnostic(None, f"cannot read {name}: {reason}")) from None
    if len(content) > MAX_BYTES:
        limit = MAX_BYTES // 1_000_000
        raise SpecError(Diagnostic(None, f"{name} is larger than {limit} MB: not a document"))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        place = Text(name, before).position(len(before))
        message = f"not UTF-8: the byte 0x{content[error.start]:02x} cannot be read"
        raise SpecError(Diagnostic(place, message)) from None
    return parse_source(text, name)


def parse_source(
    text: str, name: str = "<string>", *, start: int = 0, end: int | None = None
) -> Source:
    """Reads a YAML or JSON document from text.

    Args:
        text: the text; a byte order mark at its beginning does not count.
        name: the name of the file in error messages.
        start: where in the text the document begins.
        end: where it ends; at the text's end if None. Places count from the whole text's beginning.

    Raises:
        SpecError: the text is not one YAML 1.2 document of plain data with string keys, repeats a
            key, or is too large when its aliases are written out.
    """
    whole = Text(name, text.removeprefix("\ufeff"), start, end)
    marks: dict[Path, Mark] = {}
    data = _flatten(parse(whole), (), None, marks)
    return Source(data, marks, {name: whole.lines})


def overlay(base: Source, top: Source) -> Source:
    """`base` with the fields of `top` written over it.

    Mappings merge, at every depth; anything else in `top` (lists, scalars, null) replaces what
    `base` holds. Places follow the values; a merged mapping has its place in `top`.
    """
    data = _merged(base.data, top.data)
    marks = {path: top.marks.get(path) or base.marks[path] for path in paths(data, ())}
    return Source(data, marks, {**base.lines, **top.lines})


def subtree(source: Source, path: Path) -> Source:
    """The part of a document at `path`, as a document of its own.

    Raises:
        KeyError: a key of the path is not there.
        IndexError: an index of the path is not there.
    """
    data = source.data
    for segment in path:
        data = data[segment]
    size = len(path)
    marks = {p[size:]: mark for p, mark in source.marks.items() if p[:size] == tuple(path)}
    return Source(data, marks, source.lines)


def without(source: Source, key: str) -> Source:
    """A document less one of its top-level keys, if it has it."""
    data = {name: value for name, value in source.data.items() if name != key}
    marks = {path: mark for path, mark in source.marks.items() if path[:1] != (key,)}
    return Source(data, marks, source.lines)


def _merged(base: Any, top: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(top, dict)):
        return top
    both = {key: _merged(base[key], value) for key, value in top.items() if key in base}
    return {**base, **top, **both}


def paths(data: Any, path: Path) -> Iterator[Path]:
    """The path of every value, the root's first."""
    yield path
    if not isinstance(data, dict | list):
        return
    for segment, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield from paths(value, (*path, segment))


def _flatten(node: Node, path: Path, key: Span | None, marks: dict[Path, Mark]) -> Any:
    """The node's plain data; its places go into `marks`."""
    marks[path] = Mark(node.span, key)
    if isinstance(node.value, dict):
        return {
            name: _flatten(child, (*path, name), node.keys[name], marks)
            for name, child in node.value.items()
        }
    if isinstance(node.value, list):
        return [
            _flatten(child, (*path, index), None, marks) for index, child in enumerate(node.value)
        ]
    return node.value


def _similar_file(path: str | FilePath) -> str:
    """A hint at a file of nearly this name in the same folder."""
    folder = FilePath(path).parent
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    guess = nearest(FilePath(path).name, names)
    return f"; did you mean {folder / guess}?" if guess else ""
