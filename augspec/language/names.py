"""How the entries of a list of ops are called: by `--set`, and by a document that extends another.

An entry's name is its `id`; or its `op`, where no other entry has that op; or its op with its
number among the entries of that op without an id, as `gaussian_blur_2`. The first of several is
`gaussian_blur_1`: the bare `gaussian_blur` might mean any of them, so it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from augspec.language.diagnostics import meant

_NUMBERED = re.compile(r"(?P<op>.+)_(?P<number>[1-9][0-9]*)")


class NoEntryError(LookupError):
    """No entry, or more than one, has the name; the message says which there are."""


def find_entry(items: Sequence[Any], name: str, where: str) -> int:
    """The index of the entry of this name.

    Args:
        items: the list.
        name: the entry's id, op or numbered op.
        where: what the list is called in messages.

    Raises:
        NoEntryError: the name leads to no entry, or to several.
    """
    for key in ("id", "op"):
        found = _having(items, key, name)
        if len(found) == 1:
            return found[0]
        if found:
            raise NoEntryError(_several(items, name, where, found))
    numbered = _NUMBERED.fullmatch(name)
    if numbered is not None:
        unnamed = _unnamed(items, numbered["op"])
        # longer numbers than any list has entries are not worth reading as integers
        if len(numbered["number"]) < 9 and int(numbered["number"]) <= len(unnamed):
            return unnamed[int(numbered["number"]) - 1]
    known = entry_names(items)
    listed = f" (entries: {', '.join(known)})" if known else " (it is empty)" if not items else ""
    raise NoEntryError(f"{where} has no entry {name!r}{meant(name, known)}{listed}")


def entry_names(items: Sequence[Any]) -> list[str]:
    """The names of all entries that have one, in order."""
    return [name for name in (_name(items, index) for index in range(len(items))) if name]


def are_entries(value: Any) -> bool:
    """Whether the value is a list whose entries can have names, be it empty."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return False
    return not value or any("op" in item or "id" in item for item in value)


def _several(items: Sequence[Any], name: str, where: str, found: Sequence[int]) -> str:
    places = " and ".join(map(str, found))
    ways = [own for own in (_name(items, index) for index in found) if own and own != name]
    way = f": say {' or '.join(map(repr, ways))}, or use" if ways else ": use"
    return f"entries {places} of {where} are all {name!r}{way} an index or an id"


def _name(items: Sequence[Any], index: int) -> str | None:
    item = items[index]
    if not isinstance(item, dict):
        return None
    if isinstance(item.get("id"), str):
        return str(item["id"])
    op = item.get("op")
    if not isinstance(op, str):
        return None
    if len(_having(items, "op", op)) == 1 or item.get("id") is not None:
        return op
    return f"{op}_{_unnamed(items, op).index(index) + 1}"


def _having(items: Sequence[Any], key: str, name: str) -> list[int]:
    return [i for i, item in enumerate(items) if isinstance(item, dict) and item.get(key) == name]


def _unnamed(items: Sequence[Any], op: str) -> list[int]:
    """The entries of this op without an id, which are those that ordinals count."""
    return [i for i in _having(items, "op", op) if items[i].get("id") is None]
