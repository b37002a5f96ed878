"""The types of an op's fields in words, for people who read no Python."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from augspec.compiler.flow import flow
from augspec.language.within import Within
from augspec.ops.contract import Op

_NAMES: dict[Any, str] = {int: "integer", float: "number", bool: "true or false", str: "text"}


def field_type(field: FieldInfo) -> str:
    """What may be written in a field, such as `value in [0, 1]` or `integer >= 1`."""
    return _type(field.annotation, tuple(field.metadata))


def _type(annotation: Any, metadata: Sequence[Any]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], (*arguments[1:], *metadata))
    for item in metadata:
        if isinstance(item, Within):
            return _value(item)
    if origin is Literal:
        return _listed([flow(value) for value in arguments])
    if origin in (Union, types.UnionType):
        # null is what leaving the field out means, and nobody writes it
        members = [_type(a, metadata) for a in arguments if a is not type(None)]
        return " or ".join(dict.fromkeys(members))
    if origin is tuple:
        return _sequence(arguments)
    if isinstance(annotation, type) and issubclass(annotation, Op):
        return "op"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping of " + ", ".join(annotation.model_fields)
    return _NAMES[annotation] + _bounds(metadata)


def _sequence(arguments: Sequence[Any]) -> str:
    """A list: of any length, or of a fixed one."""
    entries = dict.fromkeys(_type(a, ()) for a in arguments if a is not Ellipsis)
    if len(entries) > 1:
        return "list of " + ", ".join(entries)
    (entry,) = entries
    word, space, rest = entry.partition(" ")
    plural = f"{word}s{space}{rest}" if word in ("integer", "number", "op") else f"of {entry}"
    if arguments[-1] is Ellipsis:
        return f"list of {plural.removeprefix('of ')}"
    return f"list of {len(arguments)} {plural}"


def _value(within: Within) -> str:
    where = f"value in {within.interval()}"
    if within.spread_around is None:
        return where
    return f"spread around {within.spread_around:g}, or {where}"


def _bounds(metadata: Sequence[Any]) -> str:
    """The bounds of a number, as an interval where it has both."""
    bounds = {
        name: bound
        for item in (part for m in metadata for part in getattr(m, "metadata", None) or [m])
        for name in ("gt", "ge", "lt", "le")
        if (bound := getattr(item, name, None)) is not None
    }
    low, high = bounds.get("gt", bounds.get("ge")), bounds.get("lt", bounds.get("le"))
    if low is None and high is None:
        return ""
    if high is None:
        return f" {'>' if 'gt' in bounds else '>='} {low:g}"
    if low is None:
        return f" {'<' if 'lt' in bounds else '<='} {high:g}"
    return f" in {'(' if 'gt' in bounds else '['}{low:g}, {high:g}{')' if 'lt' in bounds else ']'}"


def _listed(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
