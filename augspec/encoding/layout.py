"""Layout: what the columns of a code are, fixed before any data is seen.

A layout is plain, frozen and torch-free. Its hash goes into every checkpoint, and a checkpoint of
another layout is refused with a readable difference.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from augspec.language.table import table


class LayoutMismatchError(ValueError):
    """Two codes, or a checkpoint and a spec, do not have the same layout."""


@dataclass(frozen=True)
class Slot:
    """The columns of one parameter of one op.

    Attributes:
        op: the op's id within its view, such as `color_jitter`; `one_of.color_jitter` for one
            inside a combinator.
        parameter: the parameter's name, such as `hue`.
        unit: the parameter's unit, such as `turn` or `source height`.
        codec: how the parameter is encoded, such as `angle`.
        low: the smallest parameter that a draw can give, the identity included; None where that
            depends on the size of the image, which the spec leaves open.
        high: the largest one.
        start: the first column.
        columns: one name for each column.
        differentiable: whether a gradient reaches the parameter from the view.
    """

    op: str
    parameter: str
    unit: str
    codec: str
    low: float | None
    high: float | None
    start: int
    columns: tuple[str, ...]
    differentiable: bool

    @property
    def name(self) -> str:
        """`op.parameter`, the key of the parameter in `ViewBatch.params`."""
        return f"{self.op}.{self.parameter}"

    @property
    def meaning(self) -> dict[str, Any]:
        """All that says what the columns mean: the range only says which codes occur."""
        return {k: v for k, v in asdict(self).items() if k not in ("low", "high")}

    @property
    def stop(self) -> int:
        """One past the last column."""
        return self.start + len(self.columns)

    @property
    def slice(self) -> slice:
        """The columns of the code `(B, E)` that hold this parameter."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class Layout:
    """The slots of one view's code, in column order.

    Attributes:
        view: the view's name; not part of the hash, since views with equal ops have equal codes.
        slots: the slots, without gaps.
    """

    view: str
    slots: tuple[Slot, ...]

    @property
    def width(self) -> int:
        """E, the number of columns."""
        return self.slots[-1].stop if self.slots else 0

    @property
    def column_names(self) -> tuple[str, ...]:
        """The name of every column, in order."""
        return tuple(name for slot in self.slots for name in slot.columns)

    @property
    def ops(self) -> tuple[str, ...]:
        """The ids of the ops that have columns, in the order in which they act."""
        return tuple(dict.fromkeys(slot.op for slot in self.slots))

    def columns(self, op: str) -> slice:
        """The columns of the op with this id, and of all that is inside it if it is a combinator.

        Raises:
            KeyError: no op of that id has columns.
        """
        own = [slot for slot in self.slots if f"{slot.op}.".startswith(f"{op}.")]
        if not own:
            raise KeyError(f"no columns for {op!r}; ops with columns: {', '.join(self.ops)}")
        return slice(own[0].start, own[-1].stop)

    @cached_property
    def hash(self) -> str:
        """A stable digest of every slot's meaning: equal hashes mean interchangeable codes."""
        meaning = json.dumps([slot.meaning for slot in self.slots], sort_keys=True)
        return hashlib.sha256(meaning.encode()).hexdigest()[:16]

    def document(self) -> list[dict[str, Any]]:
        """The slots as plain data, for JSON."""
        return [asdict(slot) for slot in self.slots]

    @classmethod
    def from_document(cls, view: str, slots: list[dict[str, Any]]) -> Layout:
        """Reads back what `document` gave."""
        return cls(view, tuple(Slot(**{**s, "columns": tuple(s["columns"])}) for s in slots))

    def describe(self) -> str:
        """The layout as a table in plain text."""
        rows = [("columns", "slot", "unit", "codec", "range", "gradient")]
        for slot in self.slots:
            last = slot.stop - 1
            columns = f"{slot.start}" if last == slot.start else f"{slot.start}-{last}"
            interval = "by image size"
            if slot.low is not None and slot.high is not None:
                interval = f"[{slot.low:.4g}, {slot.high:.4g}]"
            gradient = "yes" if slot.differentiable else "no"
            rows.append((columns, slot.name, slot.unit, slot.codec, interval, gradient))
        head = f"view {self.view}: {self.width} columns, layout {self.hash}"
        return "\n".join([head, *table(rows)])

    def diff(self, other: Layout) -> str:
        """What `other` has otherwise, one line a slot; empty where the two are interchangeable."""
        mine = {slot.name: slot for slot in self.slots}
        theirs = {slot.name: slot for slot in other.slots}
        lines = [f"- {name}: only in the first" for name in mine if name not in theirs]
        lines += [f"+ {name}: only in the second" for name in theirs if name not in mine]
        for name in mine:
            if name in theirs and mine[name].meaning != theirs[name].meaning:
                a, b = mine[name].meaning, theirs[name].meaning
                changes = ", ".join(f"{k} {a[k]} -> {b[k]}" for k in a if a[k] != b[k])
                lines.append(f"~ {name}: {changes}")
        return "\n".join(lines)

    def require(self, other: Layout, what: str) -> None:
        """Checks that codes of `other` can be used as codes of this layout.

        Raises:
            LayoutMismatchError: they cannot; the message says what differs, and `what` says where.
        """
        if self.hash != other.hash:
            raise LayoutMismatchError(
                f"{what}: layout {other.hash} instead of {self.hash}\n{self.diff(other)}"
            )
