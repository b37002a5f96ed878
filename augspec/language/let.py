"""`let:` gives values names; `$name` stands for the value anywhere else in the document."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from augspec.language.diagnostics import Diagnostic, SpecError, nearest
from augspec.language.parser import MAX_DEPTH, MAX_NODES
from augspec.language.source import Mark, Origin, Path, Source

KEY = "let"
VERBATIM = frozenset({"version", "name", "description", "meta"})
"""The top-level fields in which a `$` is a `$`."""

_MOST_MISTAKES = 100
"""More are not looked for: each is compared with all names."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USE = re.compile(rf"\$({_NAME.pattern})")


def substituted(source: Source) -> Source:
    """The document with every `$name` replaced by its value, and without `let`.

    A string that is `$name` as a whole is replaced; `$$text` is the text `$text`; any other string
    stays. Values may use other names. What comes from a `let` is marked at its use, with the
    `let` as its origin.

    Raises:
        SpecError: `let` is not a mapping of names, a name is unknown, names stand for one another
            in a circle, or the document gets larger or deeper than any may be.
    """
    if not isinstance(source.data, dict) or (
        KEY not in source.data and not _has_dollar(source.data)
    ):
        return source
    return _Substitution(source).run()


def _has_dollar(data: Any) -> bool:
    if isinstance(data, dict):
        return any(map(_has_dollar, data.values()))
    if isinstance(data, list):
        return any(map(_has_dollar, data))
    return isinstance(data, str) and data.startswith("$")


@dataclass(frozen=True)
class _Extent:
    """How large a value is with its names written out.

    Attributes:
        size: how many values it holds, itself included.
        height: how many levels of lists and mappings it has.
        names: how many names lead to one another in a row inside it.
    """

    size: int = 1
    height: int = 0
    names: int = 0


@dataclass
class _Substitution:
    """One run over a document.

    Sizes are computed before anything is written out, so that names which stand for lists of
    names which stand for lists cannot grow without bound.
    """

    source: Source
    mistakes: list[Diagnostic] = field(default_factory=list)
    extents: dict[str, _Extent | None] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def run(self) -> Source:
        """The new document."""
        document = {key: value for key, value in self.source.data.items() if key != KEY}
        self._measure_all(document)
        if self.mistakes:
            raise SpecError(*self.mistakes)
        marks = {p: mark for p, mark in self.source.marks.items() if p[:1] != (KEY,)}
        data = {
            key: value if key in VERBATIM else self._written(value, (key,), (key,), None, marks)
            for key, value in document.items()
        }
        return Source(data, marks, self.source.lines)

    @property
    def lets(self) -> dict[str, Any]:
        """The names and their values."""
        lets = self.source.data.get(KEY, {})
        return lets if isinstance(lets, dict) else {}

    def _measure_all(self, document: dict[str, Any]) -> None:
        if not isinstance(self.source.data.get(KEY, {}), dict):
            self._mistake((KEY,), "`let` is a mapping of names to values")
            return
        for name in self.lets:
            if _NAME.fullmatch(name) is None:
                message = f"a name has letters, digits and _, and no digit first: not {name!r}"
                self._mistake((KEY, name), message, key=True)
            self._measure_let(name, 0)
        size = 1
        for key, value in document.items():
            if key in VERBATIM:
                continue
            extent = self._measure(value, (key,), 1, size)
            size += extent.size if extent is not None else 1

    def _measure_let(self, name: str, level: int) -> _Extent | None:
        if name not in self.extents:
            self.open.append(name)
            self.extents[name] = self._measure(self.lets[name], (KEY, name), level, 0)
            self.open.pop()
        return self.extents[name]

    def _measure(self, value: Any, path: Path, level: int, before: int) -> _Extent | None:
        """The extent of a value, names written out; None where a mistake was found in it.

        Args:
            value: the value.
            path: where it is written.
            level: how deep in the finished document it may stand, each name on the way counted.
            before: how many values came before it.
        """
        if isinstance(value, str):
            use = _USE.fullmatch(value)
            return _Extent() if use is None else self._measure_use(use[1], path, level, before)
        if not isinstance(value, dict | list):
            return _Extent()
        size, height, names, right = 1, 0, 0, True
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            extent = self._measure(inner, (*path, key), level + 1, before + size)
            if extent is None:
                right = False
            else:
                size, height = size + extent.size, max(height, extent.height)
                names = max(names, extent.names)
        return _Extent(size, height + 1, names) if right else None

    def _measure_use(self, name: str, path: Path, level: int, before: int) -> _Extent | None:
        if name not in self.lets:
            guess = nearest(name, self.lets)
            hint = f"; did you mean ${guess}?" if guess else ""
            known = f"names: {', '.join(self.lets)}" if self.lets else "there is no `let`"
            message = f"unknown name ${name}{hint} ({known}; $${name} is the text ${name})"
            return self._refuse(path, message)
        if name in self.open:
            circle = " -> ".join([*self.open[self.open.index(name) :], name])
            return self._refuse(path, f"names stand for one another in a circle: {circle}")
        if level + len(self.open) >= MAX_DEPTH:
            self._fail(path, f"${name} is nested more than {MAX_DEPTH} deep")
        extent = self._measure_let(name, level + 1)
        if extent is None:
            return None  # said where it was found
        if before + extent.size > MAX_NODES:
            message = f"with ${name} written out, there are more than {MAX_NODES} values"
            self._fail(path, message)
        if level + max(extent.height, extent.names) >= MAX_DEPTH:
            self._fail(path, f"${name} is nested more than {MAX_DEPTH} deep")
        return replace(extent, names=extent.names + 1)

    def _written(
        self, value: Any, at: Path, written_at: Path, use: _Use | None, marks: dict[Path, Mark]
    ) -> Any:
        """The value, from `written_at` of the source, as it stands `at` in the result."""
        if use is not None:
            marks[at] = use.mark(self.source.marks[written_at], written_at)
        if isinstance(value, dict):
            return {
                key: self._written(inner, (*at, key), (*written_at, key), use, marks)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [
                self._written(inner, (*at, index), (*written_at, index), use, marks)
                for index, inner in enumerate(value)
            ]
        name = _USE.fullmatch(value) if isinstance(value, str) else None
        if name is not None:
            inside = _Use(marks[at], (KEY, name[1]))
            return self._written(self.lets[name[1]], at, inside.path, inside, marks)
        return value[1:] if isinstance(value, str) and value.startswith("$$") else value

    def _refuse(self, path: Path, message: str) -> _Extent | None:
        self._mistake(path, message)
        return None

    def _mistake(self, path: Path, message: str, *, key: bool = False) -> None:
        self.mistakes.append(self.source.diagnostic(path, message, key=key))
        if len(self.mistakes) == _MOST_MISTAKES:
            raise SpecError(*self.mistakes)

    def _fail(self, path: Path, message: str) -> NoReturn:
        """What is too large is not measured any further: every other use would be too large too."""
        raise SpecError(*self.mistakes, self.source.diagnostic(path, message))


@dataclass(frozen=True)
class _Use:
    """A `$name` that is being replaced.

    Attributes:
        at: its mark in the result; the key is that of the field which takes the value.
        path: where its value is written.
    """

    at: Mark
    path: Path

    def mark(self, written: Mark, path: Path) -> Mark:
        """The mark of a part of the value that was written at this path, under this mark."""
        name = str(self.path[1])
        origin = Origin(name, written.value)
        if path == self.path:
            return replace(self.at, value_from=origin)
        key = written.key
        return Mark(
            self.at.value,
            self.at.value if key is not None else None,
            origin,
            Origin(name, key) if key is not None else None,
        )
