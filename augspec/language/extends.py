"""`extends: other.yaml`: a document written as the ways in which it differs from another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any, NoReturn

from augspec.language.diagnostics import Diagnostic, SpecError
from augspec.language.merge import merged
from augspec.language.parser import MAX_NODES
from augspec.language.source import MAX_BYTES, Source, read_source, without
from augspec.language.versions.check import check_version

KEY = "extends"
MAX_PARENTS = 16
"""How many documents may extend one another in a row, beside the first."""


def extended(
    source: Source, path: str | FilePath | None, version: int | None, *, allow_outside: bool
) -> Source:
    """A document laid over what it extends, its parent over the grandparent, and so on.

    Args:
        source: the document, a mapping.
        path: its file; None for text without one, which extends from the current folder.
        version: the version that every parent must have, if any is asked for.
        allow_outside: whether parents may lie outside the folder of `path` and what is below it,
            symbolic links resolved.

    Raises:
        SpecError: a parent cannot be read, lies outside, or extends back in a circle; there are too
            many, or they are too large together; or an edit names no entry of the parent's list.
    """
    if KEY not in source.data:
        return source
    chain = _Chain(source, path, allow_outside)
    while KEY in chain.sources[-1].data:
        chain.read_parent(version)
    result = chain.sources[-1]
    for child in reversed(chain.sources[:-1]):
        result = merged(result, without(child, KEY))
    return result


class _Chain:
    """The documents read so far, the first child first, and the files they stand in."""

    def __init__(self, source: Source, path: str | FilePath | None, allow_outside: bool) -> None:
        (name,) = source.lines
        folder = os.path.realpath(FilePath(path).parent if path is not None else FilePath())
        self.root = None if allow_outside else folder
        self.sources = [source]
        self.names = [name]
        self.paths = [FilePath(path) if path is not None else FilePath("text")]
        self.files = [os.path.realpath(path) if path is not None else None]
        self.bytes = sum(len(line.encode("utf-8", "surrogatepass")) for line in source.lines[name])
        self.nodes = len(source.marks)

    def read_parent(self, version: int | None) -> None:
        """Reads what the last document extends."""
        wanted = self.sources[-1].data[KEY]
        if isinstance(wanted, list):
            self._fail(f"a document has one parent: `extends` is one path, got {len(wanted)}")
        if not isinstance(wanted, str) or not wanted.strip() or "\0" in wanted:
            self._fail(f"`extends` is the path of a YAML or JSON file, got {wanted!r}")
        path = self.paths[-1].parent / wanted
        name = os.fspath(path)
        file = os.path.realpath(path)
        self._refuse(file, name)
        try:
            source = read_source(file, name)
        except SpecError as error:
            self._fail_as(error)
        self.nodes += len(source.marks)
        if self.nodes > MAX_NODES:
            self._fail(f"with {name}, the document holds more than {MAX_NODES} values")
        if not isinstance(source.data, dict):
            raise SpecError(source.diagnostic((), "a document that is extended must be a mapping"))
        if version is not None:
            check_version(source, version)
        self.sources.append(source)
        self.names.append(name)
        self.paths.append(path)
        self.files.append(file)

    def _refuse(self, file: str, name: str) -> None:
        """What may not be read: a file outside, one of the chain itself, or one too many."""
        if self.root is not None and not _is_below(file, self.root):
            self._fail(
                f"{name} lies outside {self.root}: a document extends files in its own folder and "
                "below, unless --allow-outside (in Python, allow_outside=True) is given"
            )
        if file in self.files:
            circle = [*self.names[self.files.index(file) :], name]
            self._fail(f"documents extend one another in a circle: {' -> '.join(circle)}")
        if len(self.files) > MAX_PARENTS:
            self._fail(f"documents extend one another more than {MAX_PARENTS} deep")
        if os.path.exists(file) and not os.path.isfile(file):  # noqa: PTH110, PTH113 - never raise
            self._fail(f"{name} is not a file")  # a pipe would never end
        self.bytes += _size(file)
        if self.bytes > MAX_BYTES:
            limit = MAX_BYTES // 1_000_000
            self._fail(f"with {name}, the document is larger than {limit} MB")

    def _fail(self, message: str) -> NoReturn:
        raise SpecError(self.sources[-1].diagnostic((KEY,), message))

    def _fail_as(self, error: SpecError) -> NoReturn:
        """The mistakes of a parent that was not read; those without a place belong to `extends`."""
        at = self.sources[-1]
        raise SpecError(*_placed(at, error.diagnostics)) from None


def _placed(source: Source, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    return [
        source.diagnostic((KEY,), found.message) if found.position is None else found
        for found in diagnostics
    ]


def _is_below(file: str, folder: str) -> bool:
    return FilePath(file).is_relative_to(folder)


def _size(file: str) -> int:
    try:
        return FilePath(file).stat().st_size
    except OSError:
        return 0  # reading it says what is wrong


def refuse_late(source: Source) -> None:
    """Refuses an `extends` that comes from an assignment: parents are read before those.

    Raises:
        SpecError: there is one.
    """
    data: Any = source.data
    if isinstance(data, dict) and KEY in data:
        message = "`extends` cannot be assigned: it is read before the assignments, from the file"
        raise SpecError(source.diagnostic((KEY,), message, key=True))
