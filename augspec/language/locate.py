"""From the location in a pydantic error to the place in the document and the model that holds it.

Pydantic's locations mix keys of the document with names of its own: the tag of a union's member,
the type tried for a union without tags, `[key]` for a mapping's key. Walking the model's types
along the location tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from augspec.language.source import Path


@dataclass(frozen=True)
class Place:
    """A place in a document.

    Attributes:
        path: its keys and indexes.
        kind: the type that is expected there, without `Annotated` and `None`; None if not known.
        tag: the tag by which the expected model was chosen, if it was.
        unions: for each value on the way here that may have several types without a tag, its path
            and the name of the type that pydantic tried.
        key: whether the place is a mapping's key and not its value.
        discriminator: the field whose tag tells which of several models stands here, if one does.
    """

    path: Path
    kind: Any
    tag: str | None = None
    unions: tuple[tuple[Path, str], ...] = ()
    key: bool = False
    discriminator: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The names that the document may use at this place, if it is a model's."""
        return tuple(_fields(self.kind)) if _is_model(self.kind) else ()

    @property
    def length(self) -> int | None:
        """How many entries the list at this place must have, if the type fixes it."""
        args = get_args(self.kind)
        return len(args) if get_origin(self.kind) is tuple and ... not in args else None

    @property
    def tags(self) -> tuple[Any, ...]:
        """The tags of the models that may stand at this place, if a tag tells which one does."""
        field = self.discriminator
        return tuple(tag for m in _members(self.kind) for tag in _tags(m, field)) if field else ()

    def __str__(self) -> str:
        return self.tag or ".".join(map(str, self.path)) or "the document"


def locate(model: type[BaseModel], data: Any, loc: Sequence[str | int]) -> Place:
    """The place in `data` that an error of `model` with this location speaks of."""
    place, discriminator = Place((), model), None
    for segment in loc:
        if segment == "[key]":
            return replace(place, key=True)
        members = _members(place.kind)
        if discriminator is not None:
            chosen = next((m for m in members if segment in _tags(m, discriminator)), None)
            place, discriminator = replace(place, kind=chosen, tag=str(segment)), None
        elif len(members) > 1:
            kind, discriminator = _unwrapped(_labelled(members, str(segment)))
            unions = (*place.unions, (place.path, str(segment)))
            place = replace(place, kind=kind, unions=unions)
        elif _is_step(place.kind, segment) or _holds(data, (*place.path, segment)):
            kind, discriminator = _inner(place.kind, segment)
            place = Place((*place.path, segment), kind, unions=place.unions)
    return replace(place, discriminator=discriminator)


def _inner(kind: Any, segment: str | int) -> tuple[Any, str | None]:
    """The type of an entry of a value of this type, and the field that names its union's member."""
    if _is_model(kind):
        field = _fields(kind).get(str(segment))
        return _unwrapped(field.annotation, field.discriminator) if field else (None, None)
    args = get_args(kind)
    if not args:
        return None, None
    if get_origin(kind) is tuple and ... not in args and isinstance(segment, int):
        return _unwrapped(args[segment]) if segment < len(args) else (None, None)
    return _unwrapped(args[-1] if isinstance(segment, str) else args[0])


def _unwrapped(kind: Any, discriminator: Any = None) -> tuple[Any, str | None]:
    """The type without `Annotated` and `None`, and the field that names its union's member."""
    while not isinstance(kind, type):
        if get_origin(kind) is Annotated:
            kind, *notes = get_args(kind)
            for note in notes:
                discriminator = getattr(note, "discriminator", None) or discriminator
            continue
        members = _members(kind)
        if len(members) != 1 or members[0] is kind:
            break
        kind = members[0]
    return kind, discriminator if isinstance(discriminator, str) else None


def _members(kind: Any) -> tuple[Any, ...]:
    """The types of a union other than None; any other type alone."""
    if get_origin(kind) in (Union, UnionType):
        return tuple(member for member in get_args(kind) if member is not NoneType)
    return (kind,)


def _labelled(members: tuple[Any, ...], label: str) -> Any:
    """The member of an untagged union that pydantic calls by this label, if it can be told."""
    for member in members:
        kind, discriminator = _unwrapped(member)
        origin = get_origin(kind)
        if discriminator is not None and label.startswith("tagged-union["):
            return member
        if _is_model(kind) and kind.__name__ in label:
            return member
        if origin in (tuple, list, dict) and label.startswith(f"{origin.__name__}["):
            return member
    return None


def _tags(member: Any, discriminator: str) -> tuple[Any, ...]:
    kind = _unwrapped(member)[0]
    return _model_tags(kind, discriminator) if _is_model(kind) else ()


@cache  # a document of thousands of ops may have a mistake in each
def _model_tags(model: type[BaseModel], discriminator: str) -> tuple[Any, ...]:
    annotation = model.model_fields[discriminator].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _is_step(kind: Any, segment: str | int) -> bool:
    """Whether a value of this type has such an entry, be it written in the document or not."""
    if _is_model(kind):
        return segment in _fields(kind)
    return get_origin(kind) in ((list, tuple) if isinstance(segment, int) else (dict,))


def _holds(data: Any, path: Path) -> bool:
    """Whether the document has a value at this path."""
    try:
        for segment in path:
            data = data[segment]
    except (LookupError, TypeError):
        return False
    return True


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
