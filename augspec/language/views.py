"""Views: how a person writes them, and the renderings that they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, model_validator

from augspec.language.codes import Code
from augspec.language.diagnostics import meant
from augspec.language.document import DocumentModel, Fault, Faults
from augspec.ops import AnyOp
from augspec.ops.contract import Incoming, Op, Size, identified, list_faults
from augspec.ops.geometry import Side, pair

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=64)]
MOST_COPIES = 64


class View(DocumentModel):
    """One named augmented rendering of an image, or several of a kind."""

    ops: tuple[AnyOp, ...] = ()
    """The augmentations, in the order in which they act."""

    count: Annotated[int, Field(ge=1, le=MOST_COPIES)] = 1
    """How many renderings there are, each with draws of its own; more than one are called `name_1`,
    `name_2` ... (the local crops of multi-crop, say)."""

    like: Name | None = None
    """The view whose draws this one repeats, op by op of the same id: the same crop, whatever else
    is different. Without ops of its own, it also has the ops of that view."""

    redraw: tuple[str, ...] = ()
    """The ids of ops that draw for themselves all the same: the same crop, other colours."""

    size: Side | tuple[Side, Side] | None = None
    """Says that this view is meant to end in another size than the first one, and in which: side of
    a square, or height and width, in pixels."""

    @model_validator(mode="before")
    @classmethod
    def _no_normalize_among_the_ops(cls, raw: Any) -> Any:
        ops = raw.get("ops") if isinstance(raw, dict) else None
        faults = [fault.under("ops") for fault in _normalizing(ops)]
        if faults:
            raise Faults(faults).error()
        return raw

    def identified(self) -> tuple[tuple[str, Op], ...]:
        """The ops with their ids: the one given, or the tag, with `_2`, `_3` ... among equals."""
        return identified(self.ops)


def _normalizing(ops: Any) -> Iterator[Fault]:
    """Every `normalize` in a list of ops as it was written, nested ones included."""
    ops = ops if isinstance(ops, list) else []
    for index, op in enumerate(ops):
        if not isinstance(op, dict):
            continue
        if op.get("op") == "normalize":
            message = "normalize is no op: write it as the spec's `normalize`, last in every view"
            rest = [str(o.get("op")) for o in ops[index + 1 :] if isinstance(o, dict)]
            if rest:
                message += f"; here, {rest[0]} would get values outside [0, 1]"
            yield Fault((index, "op"), message, Code.AFTER_NORMALIZE)
        yield from (fault.under(index, "ops") for fault in _normalizing(op.get("ops")))


@dataclass(frozen=True)
class Rendering:
    """One view of the plan.

    Attributes:
        name: its name.
        written: the name of the view in the spec; another one where a view has several renderings.
        ops: its ops.
        draws_as: for each op's id, the name of the rendering whose draws it has.
    """

    name: str
    written: str
    ops: tuple[Op, ...]
    draws_as: Mapping[str, str]

    def outgoing(self, incoming: Incoming) -> Size | None:
        """The size in which it ends, where that is known."""
        for op in self.ops:
            incoming = op.outgoing(incoming)
        return incoming.size


def renderings(views: Mapping[str, View]) -> dict[str, Rendering]:
    """The renderings of all views by name, in their order; views must have no `like_faults`."""
    found: dict[str, Rendering] = {}
    written = _written(views)
    for name in sorted(views, key=lambda name: len(_ancestry(views, written, name))):
        view = views[name]
        base = found[view.like] if view.like is not None else None
        ops = view.ops or (base.ops if base else ())
        shared = _shared(view, ops, base) if base else {}
        for copy in names(name, view):
            draws_as = {op_id: shared.get(op_id, copy) for op_id, _ in identified(ops)}
            found[copy] = Rendering(copy, name, ops, draws_as)
    return {copy: found[copy] for name, view in views.items() for copy in names(name, view)}


def names(name: str, view: View) -> tuple[str, ...]:
    """The names of the view's renderings."""
    if view.count == 1:
        return (name,)
    return tuple(f"{name}_{k}" for k in range(1, view.count + 1))


def _shared(view: View, ops: Sequence[Op], base: Rendering) -> dict[str, str]:
    """The ids of the ops whose draws are the base's, with the rendering that those come from."""
    tags, redrawn = {i: op.tag() for i, op in identified(base.ops)}, set(view.redraw)
    return {
        op_id: base.draws_as[op_id]
        for op_id, op in identified(ops)
        if op_id not in redrawn and tags.get(op_id) == op.tag()
    }


def _written(views: Mapping[str, View]) -> dict[str, str]:
    """The name of the view in the spec, by that of each rendering."""
    return {copy: own for own, view in views.items() for copy in names(own, view)}


def _ancestry(views: Mapping[str, View], written: Mapping[str, str], name: str) -> list[str]:
    """The view, the one that it is like, and so on, until one repeats or is not there.

    Args:
        views: all views.
        written: see `_written`.
        name: of the view.
    """
    chain: list[str] = []
    at: str | None = name
    while at is not None and at in views and at not in chain:
        chain.append(at)
        like = views[at].like
        at = written.get(like) if like is not None else None
    return chain


def view_faults(views: Mapping[str, View], incoming: Incoming) -> list[Fault]:
    """The mistakes of all views; paths start with the view's name."""
    faults = [*_name_faults(views), *_like_faults(views)]
    for name, view in views.items():
        faults += [fault.under(name, "ops") for fault in list_faults(view.ops, incoming)]
    return faults or _size_faults(views, incoming)


def _name_faults(views: Mapping[str, View]) -> Iterator[Fault]:
    taken: dict[str, str] = {}
    for name, view in views.items():
        for copy in names(name, view):
            if copy in taken:
                message = f"{copy!r} is already a rendering of view {taken[copy]!r}"
                yield Fault((name,), message, Code.SAME_ID)
            taken.setdefault(copy, name)


def _like_faults(views: Mapping[str, View]) -> Iterator[Fault]:
    known = _written(views)
    for name, view in views.items():
        if view.like is None:
            if view.redraw:
                message = "`redraw` goes with `like`: without it, every op draws for itself"
                yield Fault((name, "redraw"), message, Code.LIKE)
            continue
        if view.like not in known:
            yield Fault((name, "like"), _unlike(view.like, views, list(known)), Code.LIKE)
            continue
        chain = _ancestry(views, known, name)
        last = views[chain[-1]].like
        if last is not None and last in known:
            circle = " -> ".join([*chain, last])
            yield Fault((name, "like"), f"views are like one another: {circle}", Code.LIKE)
            continue
        ops = next((views[own].ops for own in chain if views[own].ops), ())
        ids = [op_id for op_id, _ in identified(ops)]
        for index, op_id in enumerate(view.redraw):
            if op_id not in ids:
                hint = meant(op_id, ids)
                message = f"no op {op_id!r} to redraw{hint} (ops: {', '.join(ids) or 'none'})"
                yield Fault((name, "redraw", index), message, Code.LIKE)


def _unlike(like: str, views: Mapping[str, View], known: list[str]) -> str:
    """Why a view cannot be like this one."""
    if like in views:
        copies = names(like, views[like])
        return f"view {like!r} has {len(copies)} renderings: name one of {', '.join(copies)}"
    return f"no view {like!r} to be like{meant(like, known)} (views: {', '.join(known)})"


def _size_faults(views: Mapping[str, View], incoming: Incoming) -> list[Fault]:
    """Views that end in another size than the first, or than they say."""
    faults: list[Fault] = []
    common: tuple[str, Size] | None = None
    for rendering in renderings(views).values():
        name, view = rendering.written, views[rendering.written]
        size = rendering.outgoing(incoming)
        if size is None or any(fault.path[0] == name for fault in faults):
            continue
        # a view that an alias repeats has its mistake in one place: the message must be the same
        ended = f"this view ends in {_shown(size)}"
        if view.size is not None:
            if pair(view.size) != size:
                message = f"{ended}, not in {_shown(pair(view.size))} as it says"
                faults.append(Fault((name, "size"), message, Code.VIEW_SIZES))
        elif common is None:
            common = name, size
        elif common[1] != size:
            message = f"{ended}, and view {common[0]!r} in {_shown(common[1])}; if that is meant, "
            said = size[0] if size[0] == size[1] else [*size]
            message += f"write `size: {said}` beside its ops"
            resizing = [k for k, op in enumerate(view.ops) if not op.keeps_size]
            place = ("ops", resizing[-1], "op") if resizing else ()
            faults.append(Fault((name, *place), message, Code.VIEW_SIZES))
    return faults


def _shown(size: Size) -> str:
    return f"{size[0]}x{size[1]} pixels"
