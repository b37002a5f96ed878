"""Random specs of every op and combinator that the registry finds, as a hypothesis strategy.

Nothing is said here of any one op: fields are drawn by their types and bounds, and what has no
bounds, or none that suit a small image, by what the op's default and its examples write. A drawn
field that the op refuses goes back to what it was, and an op that cannot stand where it would is
left out: so no document is ever thrown away.

Shrinking leads to fewer views, fewer ops, plainer fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import ValidationError
from random_fields import field, own_fields
from torch import Tensor

import augspec
from augspec import Pipeline, Spec
from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Incoming, Op, Size, identified, list_faults

SIZES: tuple[Size, ...] = ((16, 16), (16, 20), (21, 17))
"""Heights and widths of images: a power of two, unequal, odd."""

SIDES = (6, 22)
"""The sides that an op may give the image."""

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class Case:
    """A spec, and the images that it is for.

    Attributes:
        document: the spec as a person would write it.
        size: height and width of the images; the spec may leave them open.
    """

    document: dict[str, Any]
    size: Size

    def __repr__(self) -> str:
        return f"Case({json.dumps(self.document)}, {self.size})"

    @cached_property
    def spec(self) -> Spec:
        """The spec, read from its text."""
        return augspec.loads(json.dumps(self.document))

    def pipeline(self, seed: int = 0) -> Pipeline:
        """The compiled spec."""
        return augspec.compile(self.spec, seed=seed)

    def images(self, batch: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Noise `(batch, C, H, W)` in [0, 1)."""
        generator = torch.Generator().manual_seed(seed)
        shape = batch, self.spec.image.channels, *self.size
        return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype)


@dataclass(frozen=True)
class Kind:
    """Which specs are drawn.

    Attributes:
        allow: whether an op may be in them, combinators aside.
        usual: whether values stay in the range of the op's default and its examples, and have few
            decimals, or take all that their bounds allow.
        views: the most views.
        ops: the most ops of a list.
        depth: the most combinators inside one another.
        sizes: the sizes of the images.
        sides: the least and the largest side that an op may give the image.
    """

    allow: Callable[[Op], bool] = lambda op: True
    usual: bool = False
    views: int = 3
    ops: int = 3
    depth: int = 3
    sizes: tuple[Size, ...] = SIZES
    sides: tuple[int, int] = SIDES


@dataclass(frozen=True)
class _Place:
    """Where an op stands: what reaches it, and what those around it ask of it."""

    kind: Kind
    incoming: Incoming
    keeps_size: bool = False
    left_out: bool = False
    depth: int = 0


@st.composite
def cases(draw: Draw, kind: Kind | None = None) -> Case:
    """Valid specs with images to suit."""
    kind = kind or Kind()
    size = draw(st.sampled_from(kind.sizes))
    channels = draw(st.sampled_from([3, 3, 3, 1]))
    document: dict[str, Any] = {"version": 1, "name": "t"}
    known = draw(st.booleans())
    if known or channels == 1:
        document["image"] = {"size": list(size)} if known else {}
        document["image"] |= {"channels": 1} if channels == 1 else {}
    if draw(st.integers(0, 3)) == 3:
        count = draw(st.sampled_from([1, channels]))
        document["normalize"] = {"mean": [0.4] * count, "std": [0.25] * count}
    views = _Views(Incoming(size if known else None, channels))
    place = _Place(kind, Incoming(size, channels))
    for name in ("first", "second", "third")[: draw(st.integers(1, kind.views))]:
        views.add(draw, name, place)
    return Case({**document, "views": views.documents}, size)


@st.composite
def ops(draw: Draw, cls: type[Op], kind: Kind | None = None) -> dict[str, Any] | None:
    """One op of a class, for images of the kind's first size; None where what is drawn is not."""
    kind = kind or Kind()
    found = _of(draw, cls, _Place(kind, Incoming(kind.sizes[0])), 0)
    return found and found[0]


class _Views:
    """The views drawn so far.

    Args:
        incoming: what the spec says of the images.
    """

    def __init__(self, incoming: Incoming) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self._incoming = incoming
        self._ops: dict[str, list[Op]] = {}
        self._common: Size | None = None

    def add(self, draw: Draw, name: str, place: _Place) -> None:
        """Draws one more view."""
        document: dict[str, Any] = {}
        like = None
        if self._ops and draw(st.integers(0, 3)) == 3:
            like = document["like"] = draw(st.sampled_from(sorted(self._ops)))
        documents, ops = [], []
        if like is None or draw(st.booleans()):
            documents, ops = _list(draw, place, least=0)
        if documents or like is None:
            document["ops"] = documents
        ops = ops or self._ops.get(like or "", [])
        if like is not None and ops and draw(st.booleans()):
            ids = [op_id for op_id, _ in identified(ops)]
            document["redraw"] = [draw(st.sampled_from(ids))]
        count = draw(st.sampled_from([1, 1, 1, 2]))
        if count > 1:
            document["count"] = count
        copies = [name] if count == 1 else [f"{name}_1", f"{name}_2"]
        self._ops |= dict.fromkeys(copies, ops)
        incoming = self._incoming
        for op in ops:
            incoming = op.outgoing(incoming)
        if incoming.size is not None:
            self._common = self._common or incoming.size
            if self._common != incoming.size:
                document["size"] = list(incoming.size)
        self.documents[name] = document


def _list(draw: Draw, place: _Place, least: int) -> tuple[list[dict[str, Any]], list[Op]]:
    """A list of ops, as documents and as models."""
    documents: list[dict[str, Any]] = []
    ops: list[Op] = []
    some = range(max(least, 1), place.kind.ops + 1)
    for index in range(draw(st.sampled_from([least, *some, *some]))):  # rather some than none
        found = _op(draw, place, index)
        if found is not None:
            documents.append(found[0])
            ops.append(found[1])
            place = replace(place, incoming=found[1].outgoing(place.incoming))
    return documents, ops


def _op(draw: Draw, place: _Place, index: int) -> tuple[dict[str, Any], Op] | None:
    """An op that suits its place, or none."""
    nests = place.depth < place.kind.depth and draw(st.integers(0, 4)) == 4
    cls = draw(st.sampled_from(_combinators() if nests else _leaves()))
    return _of(draw, cls, place, index)


def _of(draw: Draw, cls: type[Op], place: _Place, index: int) -> tuple[dict[str, Any], Op] | None:
    """An op of this class, if it can stand here; `index` is its place in the list."""
    if not issubclass(cls, Combinator) and not _suits(cls, place):
        return None
    # most ops have neither: one draw decides on both
    common = draw(st.sampled_from(_COMMON))
    document: dict[str, Any] = {"op": cls.tag(), **common}
    if "id" in document:
        document["id"] += str(index)
    base = draw(st.sampled_from([{}, *cls.examples]))
    document |= {name: value for name, value in base.items() if name != "ops"}
    if issubclass(cls, Combinator):
        inner = replace(
            place,
            keeps_size=place.keeps_size or not cls.resizes,
            left_out=place.left_out or cls.gates,
            depth=place.depth + 1,
        )
        document["ops"] = _list(draw, inner, least=0 if cls().can_act else 1)[0]
        if _build(cls, document) is None:  # a field that counts on the example's own ops
            document = {"op": cls.tag(), **common, "ops": document["ops"]}
    for name in own_fields(cls):
        if draw(st.booleans()):
            document = _with_field(draw, cls, document, name, place.kind)
    return _placed(draw, cls, document, place)


_COMMON: list[dict[str, Any]] = [{}] * 10
_COMMON += [{"id": "own"}, {"share": "views"}, {"share": "pairs"}]
_COMMON += [{"share": {"views": True, "samples": 3}}, {"id": "own", "share": "views"}]


def _suits(cls: type[Op], place: _Place) -> bool:
    """Whether an op of this class can stand here, whatever its fields are."""
    op = cls()
    return (
        (op.keeps_size or not place.keeps_size)
        and (op.can_be_left_out or not place.left_out)
        and not (op.needs_colour and place.incoming.channels == 1)
    )


def _placed(
    draw: Draw, cls: type[Op], document: dict[str, Any], place: _Place
) -> tuple[dict[str, Any], Op] | None:
    """The op with a size that suits the image, if it can stand where it would."""
    found = [document]
    if "size" in cls.model_fields:
        least, most = place.kind.sides
        sides = st.integers(least, most)
        size = draw(st.one_of(sides, st.tuples(sides, sides).map(list)))
        # where it is to be cut out of the image: the smallest that is drawn at all
        found = [{**document, "size": size}, {**document, "size": least}]
    for candidate in found:
        op = _build(cls, candidate)
        if op is None or list_faults([op], place.incoming):
            continue
        if isinstance(op, Combinator) or place.kind.allow(op):
            return candidate, op
    return None


def _build(cls: type[Op], document: dict[str, Any]) -> Op | None:
    """The op, if it is one."""
    try:
        return cls.model_validate(document)
    except ValidationError:
        return None


def _with_field(
    draw: Draw, cls: type[Op], document: dict[str, Any], name: str, kind: Kind
) -> dict[str, Any]:
    """The document with one field drawn, unless the op refuses all that is tried."""
    count = len(document.get("ops", ()))
    value = draw(field(cls, name, count, kind.usual))
    for candidate in (value, _whole(value)):
        changed = {**document, name: candidate}
        if _build(cls, changed) is not None:
            return changed
    return document


def _whole(value: Any) -> Any:
    """The value with its numbers rounded, for fields that count."""
    if isinstance(value, dict):
        return {k: v if k in ("weights", "std") else _whole(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_whole(v) for v in value]
    return round(value) if isinstance(value, float) else value


@cache
def _leaves() -> list[type[Op]]:
    """The ops, the plainest first: that is where shrinking leads."""
    found = [op for op in OPS.values() if not issubclass(op, Combinator)]
    return sorted(found, key=lambda op: (len(op.model_fields), op.draws, op.tag()))


@cache
def _combinators() -> list[type[Op]]:
    found = [op for op in OPS.values() if issubclass(op, Combinator)]
    return sorted(found, key=lambda op: (len(op.model_fields), op.tag()))


def examples(count: int) -> settings:
    """So many examples, or as many times more as the environment's AUGSPEC_LAWS says."""
    return settings(max_examples=count * int(os.environ.get("AUGSPEC_LAWS", "1")))
