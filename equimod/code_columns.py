"""Which columns of which encoding a predictor reads: known from the spec, before any data.

The columns get an `augspec.Layout` whatever encoding they come from, so that checkpoints are
compared, and heads read codes of other specs, in one way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

import augspec
from augspec import DocumentModel, Layout, Slot

if TYPE_CHECKING:
    from augspec import Plan

Encoding = Literal["canonical", "equimod", "cassle", "augself", "difference"]

GEOMETRY = "geometry"
"""The group of the ops that move pixels, and in relative codes what stands for all of them."""

OF_A_PAIR = ("augself", "difference")
"""The published formats that describe two views, not one."""

FROM_PIXELS = "pixels"
"""The codec of columns that a format computes from the images."""

CROPS = ("resized_crop", "random_crop", "center_crop")
"""The ops of the group `crop`; the other groups are those of `augspec ops`."""


class CodesConfig(DocumentModel):
    """What the predictor is told of an augmentation."""

    encoding: Encoding = "canonical"
    """`canonical`: augspec's own code, or, between two views, its relative code. A published format
    otherwise: `equimod` (arXiv 2211.01244) or `cassle` (arXiv 2306.06082), of one view; `augself`
    (arXiv 2111.09613) or `difference` (seq-JEPA, arXiv 2505.03176), between two views."""
    standardise: Literal["none", "spec"] = "none"
    """`spec`: every column is divided by its standard deviation, and the mean is taken away, by the
    moments that follow from the augmentation spec. Predictors for which the identity displaces
    nothing (all but `affine`) take the identity's code away instead of the mean."""
    ops: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Which augmentations are in the code, by op, id or group (`crop`, `colour`, `geometry` ...);
    the columns of the others are left out. All of them if null. A column that a format computes
    from several ops stays if all of these are named, and one from pixels only if nothing is left
    out. Between two views, crop, flip and the like have one code: name `geometry`."""


class CodesError(ValueError):
    """The views cannot be written as asked.

    Args:
        message: what is wrong.
        path: in which field of `CodesConfig`.
    """

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class Columns:
    """The columns that a predictor reads.

    Attributes:
        every: the names of all columns of the encoding, in order.
        kept: which of them are read.
        layout: what these are.
    """

    every: tuple[str, ...]
    kept: tuple[int, ...]
    layout: Layout

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return len(self.kept) == len(self.every)


def code_columns(plan: Plan, codes: CodesConfig, views: Sequence[str], *, pair: bool) -> Columns:
    """The columns of the codes of these views.

    Args:
        plan: of the augmentations.
        codes: which encoding, and which augmentations.
        views: the two augmented views, whose canonical codes have one layout.
        pair: whether a code leads from one of them to the other, not from the original.

    Raises:
        CodesError: a view cannot be written in the encoding, `ops` names what is not there, or a
            column has no moments to standardise it by.
    """
    found = _slots(plan, codes.encoding, views[0], views[1] if pair else None)
    theirs = _slots(plan, codes.encoding, views[1], views[0] if pair else None)
    every = tuple(name for slot, _ in found for name in slot.columns)
    if every != tuple(name for slot, _ in theirs for name in slot.columns):
        message = f"{codes.encoding} gives {views[0]!r} and {views[1]!r} different columns"
        raise CodesError(f"{message}, which one predictor cannot read", "encoding")
    chosen = _chosen(plan, views[0], codes.ops) if codes.ops is not None else None
    kept: list[Slot] = []
    indices: list[int] = []
    for slot, ops in found:
        named = _named(ops, chosen) if chosen is not None else [True]
        if slot.op == GEOMETRY and any(named) and not all(named):
            message = "between two views, all geometric ops have one code: name 'geometry', or none"
            raise CodesError(f"{message} of {', '.join(sorted(ops))}", "ops")
        if named and all(named):
            stop = kept[-1].stop if kept else 0
            kept.append(replace(slot, start=stop))
            indices += range(slot.start, slot.stop)
    if not kept:
        message = f"{', '.join(codes.ops or ())}: no column of the code is about these alone"
        raise CodesError(message, "ops")
    seen = [slot.parameter for slot in kept if slot.codec == FROM_PIXELS]
    if codes.standardise == "spec" and seen:
        message = f"the moments of {', '.join(seen)} follow from pixels, not from a spec"
        raise CodesError(f"{message}: name `ops`, which leaves these out", "standardise")
    return Columns(every, tuple(indices), Layout(views[0], tuple(kept)))


def _slots(
    plan: Plan, encoding: Encoding, view: str, other: str | None
) -> list[tuple[Slot, frozenset[str]]]:
    """The slots of an encoding, each with the ids of the ops that it is about.

    Args:
        plan: of the augmentations.
        encoding: which.
        view: the view that is described.
        other: the view from which its code leads, if it is one of a pair.
    """
    if encoding != "canonical":
        return _format_slots(plan, encoding, (view,) if other is None else (other, view))
    if other is None:
        return [(slot, frozenset({slot.op})) for slot in plan.view(view).layout.slots]
    found = []
    moving = frozenset(path for path, op in _every_op(plan, view) if op.group == GEOMETRY)
    for slot in augspec.relative_layout(plan, (other, view)).slots:
        op, _, parameter = slot.name.rpartition(".")
        ops = moving if slot.kind == "group" else frozenset({op})
        made = Slot(
            op, parameter, slot.unit, slot.codec, None, None, slot.start, slot.columns, False
        )
        found.append((made, ops))
    return found


def _format_slots(
    plan: Plan, encoding: Encoding, names: tuple[str, ...]
) -> list[tuple[Slot, frozenset[str]]]:
    try:
        columns = augspec.format_columns(encoding, plan, *names)
    except augspec.FormatError as error:
        raise CodesError(str(error), "encoding") from None
    found = []
    for k, column in enumerate(columns):
        about = frozenset(f.step for term in column.terms or () for f in term.factors)
        label = (f"{encoding}.{column.name}",)
        codec = FROM_PIXELS if column.images else "published"
        slot = Slot(encoding, column.name, column.unit, codec, None, None, k, label, False)
        found.append((slot, about))
    return found


def _every_op(plan: Plan, view: str) -> Iterator[tuple[str, Any]]:
    """The ops of a view that are not combinators, with their ids, such as `one_of.rotate`."""
    for step in plan.view(view).steps:
        yield from _inside(step.id, step.op)


def _inside(path: str, op: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(op, "children", ())
    if not children:
        yield path, op
    for name, child in children:
        yield from _inside(f"{path}.{name}", child)


def _chosen(plan: Plan, view: str, names: Sequence[str]) -> dict[str, bool]:
    """The ids of all ops of a view, and whether they are named: by id, by op or by group.

    Raises:
        CodesError: a name is none of them.
    """
    ops = list(_every_op(plan, view))
    chosen = dict.fromkeys((path for path, _ in ops), False)
    for k, name in enumerate(names):
        fitting = [
            path
            for path, op in ops
            if f"{path}.".startswith(f"{name}.")
            or name in (op.tag(), op.group)
            or (name == "crop" and op.tag() in CROPS)
        ]
        if not fitting:
            known = {part for path, op in ops for part in (path, op.tag(), op.group)} | {"crop"}
            hint = augspec.meant(name, known)
            raise CodesError(
                f"view {view!r} has no op {name!r}{hint} (ops: {', '.join(chosen)}; groups: "
                f"{', '.join(sorted({op.group for _, op in ops} | {'crop'}))})",
                "ops",
                k,
            )
        chosen.update(dict.fromkeys(fitting, True))
    return chosen


def _named(ops: frozenset[str], chosen: dict[str, bool]) -> list[bool]:
    """Of all ops that a slot is about, those in a combinator too, whether each is named."""
    return [
        named for path, named in chosen.items() if any(f"{path}.".startswith(f"{o}.") for o in ops)
    ]
