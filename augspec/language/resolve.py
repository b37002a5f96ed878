"""Assignments from a command line (`--set training.epochs=5`) written over a document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from augspec.language.diagnostics import Diagnostic, SpecError
from augspec.language.names import NoEntryError, find_entry
from augspec.language.source import Mark, Path, Source, parse_source
from augspec.language.text import Span, Text

FILE = "--set"
"""The name under which error messages show the assignments."""

_SEGMENT = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s."=][^."=]*?))\s*(?P<next>[.=])')


@dataclass(frozen=True)
class _Segment:
    """One part of an assignment's path: a key, an index, or a list element's id or op."""

    name: str
    quoted: bool
    span: Span


def override(source: Source, assignments: Sequence[str]) -> Source:
    """Writes assignments such as `views.first.ops.gaussian_blur.p=0` over a document, in order.

    The right side is a YAML value and replaces what was there. On the left, a list's element goes
    by its index or its name (see `names.find_entry`), inside combinators too, with every `ops` on
    the way written out; a mapping's key that holds a dot stands in double quotes. Mappings that are
    missing on the way are made. Places point into the assignments, as `--set:1:33` for the first.

    Raises:
        SpecError: an assignment is malformed, or its path leads nowhere. All are listed.
    """
    earlier = source.lines.get(FILE, ())
    text = "\n".join((*earlier, *assignments))
    start = sum(len(line) + 1 for line in earlier)
    mistakes: list[Diagnostic] = []
    for assignment in assignments:
        try:
            source = _assign(source, text, start, start + len(assignment))
        except SpecError as error:
            mistakes += error.diagnostics
        start += len(assignment) + 1
    if mistakes:
        raise SpecError(*mistakes)
    return source


def _assign(source: Source, content: str, start: int, end: int) -> Source:
    text = Text(FILE, content, start, end)
    segments, rest = _left_side(text)
    if not text.part[rest:].strip():
        message = "a value must follow the '='; null for nothing, \"\" for an empty string"
        raise SpecError(text.diagnostic(rest - 1, message))
    value = parse_source(content, FILE, start=start + rest, end=end)
    path = tuple(_resolved(source, text, segments))
    return _written(source, path, [segment.span for segment in segments], value)


def _left_side(text: Text) -> tuple[list[_Segment], int]:
    """The path before the `=`, and the index after it."""
    segments: list[_Segment] = []
    index = 0
    while match := _SEGMENT.match(text.part, index):
        group = "bare" if match["quoted"] is None else "quoted"
        span = text.span(*match.span(group))
        segments.append(_Segment(match[group], group == "quoted", span))
        index = match.end()
        if match["next"] == "=":
            return segments, index
    message = "an assignment has the form path=value, such as training.epochs=5"
    raise SpecError(text.diagnostic(min(index, max(0, len(text.part) - 1)), message))


def _resolved(source: Source, text: Text, segments: Sequence[_Segment]) -> Iterator[str | int]:
    """The keys and indexes that the segments stand for."""
    data: Any = source.data
    for depth, segment in enumerate(segments):
        if isinstance(data, dict):
            step: str | int = segment.name
            yield step
            data = data.get(segment.name, {})
        elif isinstance(data, list):
            where = ".".join(part.name for part in segments[:depth])
            step = _index(data, segment, text, where)
            yield step
            data = data[step]
        else:
            where = ".".join(part.name for part in segments[:depth]) or "the document"
            shown = "null" if data is None else repr(data)
            message = f"{where} is {shown}, not a mapping or list: it has no {segment.name!r}"
            raise SpecError(text.diagnostic(segment.span, message))


def _index(items: list[Any], segment: _Segment, text: Text, where: str) -> int:
    """The index of the element that the segment names."""
    if segment.name.isdecimal() and not segment.quoted:
        if int(segment.name) < len(items):
            return int(segment.name)
        message = f"{where} has {len(items)} entries, counted from 0: no entry {segment.name}"
        raise SpecError(text.diagnostic(segment.span, message))
    try:
        return find_entry(items, segment.name, where)
    except NoEntryError as error:
        raise SpecError(text.diagnostic(segment.span, str(error))) from None


def _written(source: Source, path: Path, spans: Sequence[Span], value: Source) -> Source:
    """The document with `value` at `path`; `spans` are where the path's segments were written."""
    size = len(path)
    marks = {p: mark for p, mark in source.marks.items() if p[:size] != path}
    for depth, span in enumerate(spans, start=1):
        marks.setdefault(path[:depth], Mark(span, span))
    for inner, mark in value.marks.items():
        marks[path + inner] = mark
    key = spans[-1] if isinstance(path[-1], str) else None
    marks[path] = Mark(value.marks[()].value, key)
    return Source(_replaced(source.data, path, value.data), marks, {**source.lines, **value.lines})


def _replaced(data: Any, path: Path, value: Any) -> Any:
    """A copy of the data, as deep as the path goes, with `value` at its end."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(data, list):
        return [_replaced(item, rest, value) if i == head else item for i, item in enumerate(data)]
    return {**data, head: _replaced(data.get(head, {}), rest, value)}
