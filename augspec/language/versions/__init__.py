"""Versions of the language: each step from one to the next is a module of small named changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from augspec.language.diagnostics import SpecError
from augspec.language.source import parse_source
from augspec.language.versions import v0_to_v1
from augspec.language.versions.check import KEY, check_version
from augspec.language.versions.tree import Edit, Tree, edited, read_tree

__all__ = ["CURRENT", "check_version", "migrate"]

CURRENT = 1
"""The version of the language that this augspec reads."""

Change: TypeAlias = Callable[[Tree], Iterator[Edit]]
_STEPS: dict[int, tuple[Change, ...]] = {0: v0_to_v1.STEPS}
"""For each older version, the changes that lead to the one after it."""


def migrate(text: str, name: str = "<string>") -> str:
    """A spec of an older version as one of the newest.

    Comments, the order of keys, quotes, anchors and layout stay as they are. A spec of the newest
    version comes back unchanged; one without a version counts as version 0.

    Args:
        text: the spec.
        name: the name of its file in error messages.

    Raises:
        SpecError: the text is not a document, has a version that is no integer or newer than this
            augspec, or cannot be migrated.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix("\ufeff")
    source = parse_source(text, name)
    if not isinstance(source.data, dict):
        raise SpecError(source.diagnostic((), "a spec must be a mapping"))
    version = source.data.get(KEY, 0)
    if type(version) is not int or not 0 <= version < CURRENT:
        check_version(source, CURRENT)
        return mark + text
    for older in range(version, CURRENT):
        for change in _STEPS[older]:
            text = edited(text, change(read_tree(text, name)))
    return mark + edited(text, _set_version(read_tree(text, name)))


def _set_version(tree: Tree) -> Iterator[Edit]:
    """`version`, in its place or before the first field."""
    version, root = tree.root.get(KEY), tree.root
    if version is not None:
        yield tree.reworded(version, str(CURRENT))
        return
    if not root.flow:
        first = root.entries[0][0].start
        indent = tree.line_break + " " * tree.column(first)
        yield Edit(first, first, f"{KEY}: {CURRENT}{indent}")
        return
    inside = tree.text.index("{", root.start) + 1
    comma = ", " if root.entries else ""
    quote = '"' if not root.entries or tree.text[root.entries[0][0].start] == '"' else ""
    yield Edit(inside, inside, f"{quote}{KEY}{quote}: {CURRENT}{comma}")
