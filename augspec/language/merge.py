"""One document laid over another, lists of ops edited by the names of their entries."""

from __future__ import annotations

import re
from typing import Any

from augspec.language.diagnostics import Diagnostic, SpecError
from augspec.language.names import NoEntryError, are_entries, find_entry
from augspec.language.source import Mark, Path, Source, paths
from augspec.language.values import Value

_VERBATIM = "meta"
"""The field that is free: its lists are never edited, whatever they hold."""


def merged(parent: Source, child: Source) -> Source:
    """`child` laid over `parent`.

    Mappings merge at every depth; scalars, null and lists of the child replace. Where the parent
    has a list of ops (mappings with `op` or `id`) and the child a mapping, its keys name entries
    of that list: a mapping merges into the entry, null removes it. Inside an op, a drawn value of
    another kind replaces too: `{normal: ...}` over `{log_uniform: ...}` would be neither.

    Raises:
        SpecError: an edit names no entry, or is neither a mapping nor null.
    """
    merge = _Merge(parent, child)
    data = merge.over(parent.data, child.data, (), ())
    if merge.mistakes:
        raise SpecError(*merge.mistakes)
    return Source(data, merge.marks, {**parent.lines, **child.lines})


class _Merge:
    """The marks of the result as they come about; they begin as the parent's."""

    def __init__(self, parent: Source, child: Source) -> None:
        self.child = child
        self.marks: dict[Path, Mark] = dict(parent.marks)
        self.mistakes: list[Diagnostic] = []

    def over(self, base: Any, top: Any, at: Path, top_at: Path) -> Any:
        """`top`, from `top_at` of the child, laid over `base`, which lies `at` in the result."""
        if isinstance(top, dict) and isinstance(base, dict):
            return self._mapping(base, top, at, top_at)
        if isinstance(top, dict) and are_entries(base) and at[:1] != (_VERBATIM,):
            return self._entries(base, top, at, top_at)
        self._taken(base, at)
        self._put(top, at, top_at)
        return top

    def _mapping(self, base: dict[str, Any], top: dict[str, Any], at: Path, top_at: Path) -> Any:
        result = dict(base)
        self.marks[at] = self.child.marks[top_at]
        drawn = isinstance(base.get("op"), str)
        for key, value in top.items():
            inner, top_inner = (*at, key), (*top_at, key)
            if key not in base:
                result[key] = value
                self._put(value, inner, top_inner)
            elif drawn and _other_kind(base[key], value):
                result[key] = value
                self._taken(base[key], inner)
                self._put(value, inner, top_inner)
            else:
                result[key] = self.over(base[key], value, inner, top_inner)
        return result

    def _entries(self, base: list[Any], top: dict[str, Any], at: Path, top_at: Path) -> Any:
        result = list(base)
        removed = set()
        for name, value in top.items():
            place = (*top_at, name)
            try:
                index = find_entry(base, name, ".".join(map(str, top_at)))
            except NoEntryError as error:
                self.mistakes.append(self.child.diagnostic(place, str(error), key=True))
                continue
            if value is None:
                removed.add(index)
            elif isinstance(value, dict):
                result[index] = self.over(result[index], value, (*at, index), place)
            else:
                message = f"{name!r} takes a mapping of the fields that change, or null to remove "
                message += f"the entry, got {value!r}"
                self.mistakes.append(self.child.diagnostic(place, message))
        self.marks[at] = self.child.marks[top_at]
        return self._without(result, removed, at) if removed else result

    def _without(self, items: list[Any], removed: set[int], at: Path) -> list[Any]:
        """The list less some entries; the marks of those behind them move up."""
        kept: list[Any] = []
        for index, item in enumerate(items):
            marks = self._taken(item, (*at, index))
            if index not in removed:
                self.marks |= {(*at, len(kept), *inner): mark for inner, mark in marks.items()}
                kept.append(item)
        return kept

    def _put(self, value: Any, at: Path, top_at: Path) -> None:
        size = len(top_at)
        for path in paths(value, top_at):
            self.marks[(*at, *path[size:])] = self.child.marks[path]

    def _taken(self, value: Any, at: Path) -> dict[Path, Mark]:
        """The marks of a value, by their paths inside it; they are the result's no longer."""
        size = len(at)
        return {path[size:]: self.marks.pop(path) for path in paths(value, at)}


def _other_kind(base: Any, top: Any) -> bool:
    """Whether both are drawn values, of different kinds."""
    if not isinstance(base, dict) or not isinstance(top, dict):
        return False
    before, after = _KINDS & base.keys(), _KINDS & top.keys()
    return bool(before) and bool(after) and before != after


_KINDS = frozenset(
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in Value.__subclasses__()
)
"""How drawn values are written: `{log_uniform: ...}`, `{choice: ...}`."""
