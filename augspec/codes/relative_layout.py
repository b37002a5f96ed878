"""What the columns of a relative code are: coordinates of a group element, then differences.

See `augspec.codes.relative` for what they mean. A layout is known before any data.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from augspec.compiler.geometry import bending, geometric_ops, mapped, view_plan
from augspec.compiler.pipeline import Pipeline
from augspec.compiler.plan import Plan
from augspec.encoding.layout import Slot
from augspec.ops.geometry import GeometricOp

Meaning: TypeAlias = tuple[str, str, str, tuple[str, ...]]
"""Name, unit, codec and columns: what two slots have in common whose difference means anything."""

_GROUP: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("reflection", "0 or 1", "bit", ("",)),
    ("turn", "turn", "angle", (".sin", ".versin")),
    ("stretch", "factor", "log", (".x", ".y", ".xy")),
    ("shift", "half side", "linear", (".x", ".y")),
    ("horizon", "1 / half side", "linear", (".x", ".y")),
)
"""The slots of the group part, in the order of `augspec.kernels.polar.COLUMNS`."""


@dataclass(frozen=True)
class RelativeSlot:
    """Columns of a relative code.

    Attributes:
        kind: `group`, a coordinate of the group element, or `difference`, of two codes.
        name: such as `geometry.turn`, or `color_jitter.hue`.
        unit: its unit, in words; for a difference, that of the parameter.
        codec: how the coordinate, or the parameter of which this is the difference, is encoded.
        columns: one name for each column.
        start: the first column.
        only: `first` or `second` where only that view has such an op, and the other counts as the
            identity.
    """

    kind: Literal["group", "difference"]
    name: str
    unit: str
    codec: str
    columns: tuple[str, ...]
    start: int
    only: Literal["first", "second"] | None = None

    @property
    def slice(self) -> slice:
        """The columns of the code `(B, R)` that hold this slot."""
        return slice(self.start, self.start + len(self.columns))

    @property
    def meaning(self) -> Meaning:
        """What it is, wherever it stands."""
        return self.name, self.unit, self.codec, self.columns


@dataclass(frozen=True)
class End:
    """What a relative layout has to know of one of its views.

    Attributes:
        view: the view's name.
        geometry: what maps its geometric ops make, if it has any.
        bends: the ids of its ops that bend the image, which no map describes.
        slots: the slots of its code that its map does not account for.
    """

    view: str
    geometry: Literal["none", "affine", "projective"]
    bends: tuple[str, ...]
    slots: tuple[Slot, ...]

    @property
    def own(self) -> dict[Meaning, Slot]:
        """The slots by what they mean."""
        return {(slot.name, slot.unit, slot.codec, slot.columns): slot for slot in self.slots}


@dataclass(frozen=True)
class RelativeLayout:
    """What the columns of the relative code from one view to another are.

    Attributes:
        first: the view that it starts from.
        second: the view that it leads to.
    """

    first: End
    second: End

    @cached_property
    def slots(self) -> tuple[RelativeSlot, ...]:
        """The slots, without gaps: those of the group part, then the differences by name."""
        found: list[RelativeSlot] = []
        kinds = {self.first.geometry, self.second.geometry}
        count = len(_GROUP) - ("projective" not in kinds) if kinds != {"none"} else 0
        for name, unit, codec, suffixes in _GROUP[:count]:
            columns = tuple(f"geometry.{name}{suffix}" for suffix in suffixes)
            start = _stop(found)
            found.append(RelativeSlot("group", f"geometry.{name}", unit, codec, columns, start))
        first, second = self.first.own, self.second.own
        for meaning in sorted(first.keys() | second.keys()):
            only: Literal["first", "second"] | None = None
            if meaning not in first or meaning not in second:
                only = "first" if meaning in first else "second"
            found.append(RelativeSlot("difference", *meaning, _stop(found), only))
        return tuple(found)

    @property
    def views(self) -> tuple[str, str]:
        """The names of both views; not part of the hash, as in `Layout`."""
        return self.first.view, self.second.view

    @property
    def width(self) -> int:
        """R, the number of columns."""
        return _stop(self.slots)

    @property
    def group(self) -> slice:
        """The columns of the group part: 8, or 10 with a horizon; none without geometric ops."""
        return slice(0, _stop([slot for slot in self.slots if slot.kind == "group"]))

    @property
    def differences(self) -> tuple[RelativeSlot, ...]:
        """The slots that are no part of a group element."""
        return tuple(slot for slot in self.slots if slot.kind == "difference")

    @property
    def bends(self) -> tuple[str, ...]:
        """The ops that bend the image, as `view: op`: the group part leaves them out."""
        return tuple(f"{end.view}: {op}" for end in (self.first, self.second) for op in end.bends)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The name of every column, in order."""
        return tuple(name for slot in self.slots for name in slot.columns)

    @cached_property
    def hash(self) -> str:
        """A stable digest of what the columns mean: equal hashes mean interchangeable codes."""
        bends = bool(self.first.bends), bool(self.second.bends)
        meaning = json.dumps([bends, *map(asdict, self.slots)], sort_keys=True)
        return hashlib.sha256(meaning.encode()).hexdigest()[:16]

    def document(self) -> dict[str, Any]:
        """The layout as plain data, for JSON."""
        slots = [asdict(slot) for slot in self.slots]
        return {"views": self.views, "hash": self.hash, "bends": self.bends, "slots": slots}

    def describe(self) -> str:
        """The layout as a table in plain text; what is not exact is said."""
        rows = [("columns", "slot", "unit", "codec", "kind")]
        for slot in self.slots:
            first, last = slot.start, slot.slice.stop - 1
            kind: str = slot.kind
            if slot.only is not None:
                kind += f", only {self.views[slot.only == 'second']} has it"
            columns = f"{first}" if last == first else f"{first}-{last}"
            rows.append((columns, slot.name, slot.unit, slot.codec, kind))
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        head = f"{self.views[0]} to {self.views[1]}: {self.width} columns, layout {self.hash}"
        if self.bends:
            lines.append(f"the group part leaves out {', '.join(self.bends)}")
        return "\n".join([head, *lines])


def relative_layout(source: Plan | Pipeline, views: tuple[str, str]) -> RelativeLayout:
    """The layout of the relative code from one view to another.

    Raises:
        KeyError: an unknown view.
    """
    return RelativeLayout(*(_end(source, name) for name in views))


def _end(source: Plan | Pipeline, name: str) -> End:
    plan = view_plan(source, name)
    ops = [op for _, op in geometric_ops(plan) if isinstance(op, GeometricOp)]
    projective = any(op.projective for op in ops)
    covered = mapped(plan)
    return End(
        name,
        "projective" if projective else "affine" if ops else "none",
        bending(plan),
        tuple(slot for slot in plan.layout.slots if slot.op not in covered),
    )


def _stop(slots: list[RelativeSlot] | tuple[RelativeSlot, ...]) -> int:
    return slots[-1].slice.stop if slots else 0
