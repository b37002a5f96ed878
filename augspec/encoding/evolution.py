"""Evolution: what is written for one layout, used with another, where that is exact.

A spec changes: ops change places, one is left out, one is added. The columns of a code then move,
and its layout has another hash. `slot_map` finds each slot of one layout in the other by its name.

What exact means. A code says which parameters each op had, and so a slot stands for the same in two
layouts if its unit, codec and columns are the same; where it stands in the code does not matter.
For a slot of a combinator (an order, a weight), its ops are part of that: `0<1` is about the first
and the second of them. Whether a gradient reaches the parameter is not: it depends on how an op
resamples, not on what the number means. Nor is what the code never says: in which order the ops of
a view act, and their fields without columns, such as a size.

Codes and weights then differ in what may be missing:

- *Codes* of the source are codes of the target if nothing that both have has changed, and if each
  slot that the target lacks is zero in them: it did nothing. Slots that only the target has are
  zero: its op does nothing.
- *Weights* of a linear layer that reads codes of the source can read those of the target if nothing
  has changed and nothing is added: what they never saw they cannot read. Columns that the target
  lacks are left out, as if the code were zero there. What follows the layer, such as a batch norm,
  sees what it would have seen. But what comes *before* it must map zero to zero: where codes are
  standardised first, zero becomes -mean / std, so fold that into the layer and its bias before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from augspec.encoding.layout import Layout, LayoutMismatchError, Slot
from augspec.language.diagnostics import meant

if TYPE_CHECKING:
    from torch import Tensor


class ChangedSlot(NamedTuple):
    """A slot that both layouts have, with another meaning."""

    source: Slot
    target: Slot
    how: str
    """The differences, such as `codec linear -> log`: the target's first, as in `Layout.diff`."""


@dataclass(frozen=True)
class SlotMap:
    """Where each slot of one layout is in another.

    Attributes:
        source: the layout for which codes or weights were written.
        target: the layout with which they are to be used.
        kept: pairs of a slot of the source and one of the target that mean the same.
        dropped: the slots of the source that the target lacks.
        added: the slots of the target that the source lacks.
        changed: the slots that both have, but that do not mean the same.
    """

    source: Layout
    target: Layout
    kept: tuple[tuple[Slot, Slot], ...]
    dropped: tuple[Slot, ...]
    added: tuple[Slot, ...]
    changed: tuple[ChangedSlot, ...]

    def codes(self, codes: Tensor, what: str = "codes") -> Tensor:
        """Codes of the source as codes of the target; differentiable.

        Makes the host wait for a GPU, as it looks at the codes.

        Args:
            codes: `(B, E)`, canonical codes of the source.
            what: what they are, for messages.

        Returns:
            `(B, E)` codes of the target, in the same dtype.

        Raises:
            LayoutMismatchError: a slot has changed, or one that is dropped is not zero.
            ValueError: the codes are not as wide as the source.
        """
        self._check_width(codes, what)
        if self.changed:
            raise self._mismatch(what)
        for slot in self.dropped:
            acting = (codes[:, slot.slice] != 0).any(dim=-1)
            if bool(acting.any()):
                row = int(acting.int().argmax())
                values = ", ".join(f"{value:g}" for value in codes[row, slot.slice].tolist())
                raise self._mismatch(what, f"row {row} has {slot.name} {values}, not zero")
        return self._moved(codes)

    def columns(self, weights: Tensor, what: str = "weights") -> Tensor:
        """Weights of a linear layer that reads codes of the source, to read codes of the target.

        On a code that both layouts have, the layer gives the same, up to the order of its sums.

        Args:
            weights: `(D, E)`, a column for each of the source.
            what: what they are, for messages.

        Returns:
            `(D, E)`, a column for each of the target.

        Raises:
            LayoutMismatchError: a slot has changed or is added.
            ValueError: there are not as many columns as in the source.
        """
        self._check_width(weights, what)
        if self.changed or self.added:
            why = "what is only in the first has no weights" if self.added else ""
            raise self._mismatch(what, why)
        return self._moved(weights)

    def diff(self) -> str:
        """What the source has otherwise, one line a slot, places aside; see `Layout.diff`."""
        lines = [f"- {slot.name}: only in the first" for slot in self.added]
        lines += [f"+ {slot.name}: only in the second" for slot in self.dropped]
        lines += [f"~ {slot.target.name}: {slot.how}" for slot in self.changed]
        return "\n".join(lines)

    def _mismatch(self, what: str, why: str = "") -> LayoutMismatchError:
        head = f"{what}: layout {self.source.hash} instead of {self.target.hash}"
        return LayoutMismatchError("\n".join(filter(None, (head, why, self.diff()))))

    def _check_width(self, columns: Tensor, what: str) -> None:
        if columns.ndim != 2 or columns.shape[1] != self.source.width:
            shape = tuple(columns.shape)
            raise ValueError(f"{what} must be (..., {self.source.width}), got {shape}")

    def _moved(self, columns: Tensor) -> Tensor:
        found = columns.new_zeros(len(columns), self.target.width)
        for source, target in self.kept:
            found[:, target.slice] = columns[:, source.slice]
        return found


def slot_map(source: Layout, target: Layout, renames: Mapping[str, str] | None = None) -> SlotMap:
    """Finds each slot of one layout in another, by its name.

    Args:
        source: the layout for which codes or weights were written.
        target: the layout with which they are to be used.
        renames: new ids of ops by their old ones, such as `{"color_jitter": "jitter"}`, with the
            ids of what they are inside of (`one_of.color_jitter`); what is inside them goes along.
            Whoever renames an op vouches that it is the same: a layout knows ops by their ids only.

    Raises:
        ValueError: a name in `renames` is not that of an op with columns, or two ops get one name.
    """
    renamed = _renamed(source, target, renames or {})
    theirs = {slot.name: (own, slot) for own, slot in zip(source.slots, renamed, strict=True)}
    ours = {slot.name: slot for slot in target.slots}
    kept, changed = [], []
    for name in [name for name in ours if name in theirs]:
        own, slot = theirs[name]
        how = _difference(_meaning(ours[name], target.slots), _meaning(slot, renamed))
        if how:
            changed.append(ChangedSlot(own, ours[name], how))
        else:
            kept.append((own, ours[name]))
    return SlotMap(
        source,
        target,
        kept=tuple(kept),
        dropped=tuple(own for name, (own, _) in theirs.items() if name not in ours),
        added=tuple(slot for name, slot in ours.items() if name not in theirs),
        changed=tuple(changed),
    )


def _meaning(slot: Slot, slots: tuple[Slot, ...]) -> dict[str, object]:
    """What the columns of a slot mean, wherever they stand."""
    inside = [other.op for other in slots if other.op.startswith(f"{slot.op}.")]
    ops = dict.fromkeys(op.removeprefix(f"{slot.op}.").partition(".")[0] for op in inside)
    return {
        "unit": slot.unit,
        "codec": slot.codec,
        "columns": tuple(c.removeprefix(slot.name).lstrip(".") for c in slot.columns),
        "ops": tuple(ops),
    }


def _difference(mine: dict[str, object], theirs: dict[str, object]) -> str:
    return ", ".join(f"{k} {mine[k]} -> {theirs[k]}" for k in mine if mine[k] != theirs[k])


def _renamed(source: Layout, target: Layout, renames: Mapping[str, str]) -> tuple[Slot, ...]:
    """The slots of the source, their ops called as in the target."""
    for role, layout, names in (("old", source, renames), ("new", target, renames.values())):
        known = _paths(layout)
        for name in names:
            if name not in known:
                hint = meant(name, known)
                raise ValueError(
                    f"renames: no op {name!r} in the {role} layout{hint} (ops: {', '.join(known)})"
                )
    slots = tuple(_renamed_slot(slot, renames) for slot in source.slots)
    seen: dict[str, str] = {}
    for old, new in zip(source.slots, slots, strict=True):
        first = seen.setdefault(new.name, old.name)
        if first != old.name:
            raise ValueError(f"renames: both {first} and {old.name} would be {new.name}")
    return slots


def _renamed_slot(slot: Slot, renames: Mapping[str, str]) -> Slot:
    fitting = [old for old in renames if f"{slot.op}.".startswith(f"{old}.")]
    if not fitting:
        return slot
    old = max(fitting, key=len)
    renamed = replace(slot, op=renames[old] + slot.op.removeprefix(old))
    columns = tuple(renamed.name + column.removeprefix(slot.name) for column in slot.columns)
    return replace(renamed, columns=columns)


def _paths(layout: Layout) -> list[str]:
    """The ids of all ops that have columns or hold some that do, combinators before theirs."""
    parts = [op.split(".") for op in layout.ops]
    paths = [".".join(names[:count]) for names in parts for count in range(1, len(names) + 1)]
    return list(dict.fromkeys(paths))
