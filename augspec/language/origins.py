"""The spec in full, with where each of its values came from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from augspec.language.document import read_document, validate
from augspec.language.let import VERBATIM
from augspec.language.scalars import plain_scalar
from augspec.language.source import Mark, Path, Source, paths
from augspec.language.spec import Spec

DEFAULT = "default"
"""The origin of what no document says."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(-[A-Za-z0-9_]+)*")
_MOST_COLUMNS = 60
"""Comments align, up to this column."""

_LONGEST_KEY = 1000
"""YAML wants the mark of an explicit key before longer ones."""


@dataclass(frozen=True)
class Resolved:
    """A spec with everything that its file leaves to others written out.

    Attributes:
        source: the document after `extends`, assignments and `let`.
        spec: the spec that it is.
        document: the spec as plain data, defaults included.
        origins: for each path of `document`, where its value came from: `file:line:column`,
            `--set:1:5`, `let.name (file:line:column)`, or `default`. A value that is written in a
            short form (`brightness: 0.4`) is the origin of all parts of the long one.
    """

    source: Source
    spec: Spec
    document: dict[str, Any]
    origins: dict[Path, str]


def load_resolved(
    path: str | FilePath, overrides: Sequence[str] = (), *, allow_outside: bool = False
) -> Resolved:
    """Reads a spec as `load` does, and keeps where its values came from.

    Raises:
        SpecError: see `load`.
    """
    return resolved(read_document(Spec, path, overrides, allow_outside=allow_outside))


def resolved(source: Source) -> Resolved:
    """A composed document as a spec that knows where its values came from.

    Raises:
        SpecError: it is not a spec.
    """
    spec = validate(Spec, source)
    document = spec.model_dump(mode="json")
    document |= {"meta": spec.meta} if "meta" in document else {}  # free, so kept as it is
    origins = {path: _origin(source, path) for path in paths(document, ())}
    return Resolved(source, spec, document, origins)


def resolved_text(resolved: Resolved) -> str:
    """The spec as YAML, one value a line, each with its origin as a comment.

    It loads as a spec equal to `resolved.spec`.
    """
    lines = list(_Writer(resolved).mapping(resolved.document, (), 0))
    width = min(max(len(text) for text, origin in lines if origin), _MOST_COLUMNS)
    return "".join(
        f"{text:<{width}}  # {_printable(origin)}\n" if origin else f"{text}\n"
        for text, origin in lines
    )


def _origin(source: Source, path: Path) -> str:
    mark, depth = _mark(source, path)
    if depth < len(path) and isinstance(_value(source.data, path[:depth]), dict):
        # a field that a mapping does not mention, if the mapping is not a short form itself
        return DEFAULT
    if mark.value_from is not None:
        return f"let.{mark.value_from.name} ({mark.value_from.span.position})"
    return str(mark.value.position)


def _mark(source: Source, path: Path) -> tuple[Mark, int]:
    """The mark of the value at the path or of the nearest one above, and how deep that is."""
    while path not in source.marks:
        path = path[:-1]
    return source.marks[path], len(path)


def _value(data: Any, path: Path) -> Any:
    for segment in path:
        data = data[segment]
    return data


@dataclass(frozen=True)
class _Writer:
    """Writes a document as lines, each with its text and the origin of its value, if it has one."""

    resolved: Resolved

    def mapping(
        self, data: dict[str, Any], path: Path, depth: int
    ) -> Iterator[tuple[str, str | None]]:
        """The fields of a mapping."""
        for key, value in data.items():
            word = _scalar(key)
            head = f"? {word}\n{'  ' * depth}:" if len(word) > _LONGEST_KEY else f"{word}:"
            yield from self.entry(head, value, (*path, key), depth, drawn="op" in data)

    def entry(
        self, head: str, value: Any, path: Path, depth: int, *, drawn: bool = False
    ) -> Iterator[tuple[str, str | None]]:
        """One value behind its key or dash.

        Args:
            head: the key or dash.
            value: the value.
            path: where it stands.
            depth: how far it is indented, in steps of two columns.
            drawn: whether a mapping here is one value, as `{log_uniform: [1, 2]}` of an op is.
        """
        indent = "  " * depth
        if self._in_one(value, path, drawn):
            escape = path[0] not in VERBATIM
            yield f"{indent}{head} {_flow(value, escape=escape)}", self.resolved.origins[path]
            return
        if isinstance(value, list):
            yield f"{indent}{head}", None
            for index, item in enumerate(value):
                yield from self.entry("-", item, (*path, index), depth + 1)
        elif head == "-":
            inner = list(self.mapping(value, path, depth + 1))
            (first, origin), *rest = inner
            yield f"{indent}- {first[len(indent) + 2 :]}", origin
            yield from rest
        else:
            yield f"{indent}{head}", None
            yield from self.mapping(value, path, depth + 1)

    def _in_one(self, value: Any, path: Path, drawn: bool) -> bool:
        """Whether the value stands on one line, since all of it came from one place."""
        if not value or not isinstance(value, dict | list):
            return True
        if isinstance(value, dict) and not drawn:
            return False
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            return False
        return len({self._channel(inner) for inner in paths(value, path)}) == 1

    def _channel(self, path: Path) -> tuple[str | None, ...]:
        """What a value came from, its line and column aside."""
        if self.resolved.origins[path] == DEFAULT:
            return (None, None)
        mark, _ = _mark(self.resolved.source, path)
        name = mark.value_from.name if mark.value_from is not None else None
        return (mark.value.position.file, name)


def _flow(value: Any, *, escape: bool) -> str:
    if isinstance(value, dict):
        pairs = (f"{_key(key)}: {_flow(v, escape=escape)}" for key, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(item, escape=escape) for item in value)}]"
    if escape and isinstance(value, str) and value.startswith("$"):
        value = f"${value}"  # or it would stand for something
    return _scalar(value)


def _key(key: str) -> str:
    word = _scalar(key)
    return f"? {word}" if len(word) > _LONGEST_KEY else word


def _scalar(value: Any) -> str:
    """A scalar as both YAML and this language's reader take it: a bare word or number, or JSON."""
    if isinstance(value, str):
        bare = _WORD.fullmatch(value) is not None and isinstance(plain_scalar(value), str)
        return value if bare else json.dumps(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return json.dumps(value)


def _printable(text: str) -> str:
    """What a comment can hold: a file's name may have any character."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
