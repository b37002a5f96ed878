"""What differs between two specs in meaning: views, ops, fields, codes and hashes.

Text that means the same does not differ: shorthands, defaults written out, anchors, comments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from augspec.compiler.flow import flow
from augspec.compiler.plan import Step, ViewPlan, make_plan
from augspec.language.spec import Spec
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op, identified

_LONG = 80
"""Longer values are not shown: a whole description would hide all else."""

_MARKS = {"added": "+", "removed": "-", "moved": ">", "changed": "~", "replaced": "~"}


@dataclass(frozen=True)
class OpChange:
    """One op that is not in both views, or not the same in both.

    Attributes:
        path: its id, after those of the combinators that it is in, such as `one_of.solarize`.
        kind: `added`, `removed`, `moved`, `changed` (its fields), or `replaced` (another op of the
            same id).
        fields: for each field that differs, the old and the new value.
        places: the old and the new place among the ops it stands with, from 1; None where it is
            not.
        ops: the old and the new op in full, where it is added, removed or replaced.
    """

    path: str
    kind: str
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    places: tuple[int | None, int | None] = (None, None)
    ops: tuple[dict[str, Any] | None, dict[str, Any] | None] = (None, None)

    def line(self) -> str:
        """The change as one line."""
        head = f"{_MARKS[self.kind]} {self.path}"
        if self.kind == "moved":
            return f"{head}: from place {self.places[0]} to {self.places[1]}"
        if self.kind == "changed":
            changes = (f"{k} {flow(a)} -> {flow(b)}" for k, (a, b) in self.fields.items())
            return f"{head}: " + ", ".join(changes)
        return f"{head}: " + " -> ".join(flow(op) for op in self.ops if op is not None)


@dataclass(frozen=True)
class ViewChange:
    """What differs in one view that both specs have.

    Attributes:
        view: its name.
        ops: what differs in its ops.
        layouts: the old and the new hash of its layout.
        codes: what differs in the columns of its code, one line a slot.
    """

    view: str
    ops: tuple[OpChange, ...]
    layouts: tuple[str, str]
    codes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The change as lines, the view's name left out."""
        if self.layouts[0] == self.layouts[1]:
            return [*(op.line() for op in self.ops), f"code: the same, layout {self.layouts[0]}"]
        head = f"code: layout {self.layouts[0]} -> {self.layouts[1]}"
        return [*(op.line() for op in self.ops), head, *(f"  {line}" for line in self.codes)]


@dataclass(frozen=True)
class SpecDiff:
    """What differs between two specs.

    Attributes:
        hashes: the hashes of the two plans; equal where views and codes are the same.
        fields: for each field beside the views that differs, the old and the new value.
        removed: views that only the first has.
        added: views that only the second has.
        views: what differs in the views that both have.
    """

    hashes: tuple[str, str]
    fields: dict[str, tuple[Any, Any]]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    views: tuple[ViewChange, ...]

    @property
    def same(self) -> bool:
        """Whether both specs make the same views and codes."""
        return self.hashes[0] == self.hashes[1]

    def document(self) -> dict[str, Any]:
        """The difference as plain data, for JSON."""
        return {"same": self.same, **asdict(self)}

    def describe(self) -> str:
        """The difference as plain text."""
        if self.same:
            lines = [f"the same views and codes, plan {self.hashes[0]}"]
        else:
            lines = [f"plan {self.hashes[0]} -> {self.hashes[1]}"]
        for key, (a, b) in self.fields.items():
            old, new = flow(a), flow(b)
            long = max(len(old), len(new)) > _LONG
            lines.append(f"{key}: not the same text" if long else f"{key}: {old} -> {new}")
        for what, only in (("first", self.removed), ("second", self.added)):
            if only:
                lines.append(f"only in the {what}: {_views(only)}")
        alike: dict[tuple[str, ...], list[str]] = {}
        for change in self.views:  # views written once and used twice differ alike
            alike.setdefault(tuple(change.lines()), []).append(change.view)
        for body, names in alike.items():
            lines += [f"{_views(names)}:", *(f"  {line}" for line in body)]
        return "\n".join(lines)


def diff(a: Spec, b: Spec) -> SpecDiff:
    """What differs between two specs, from `a` to `b`."""
    plans = make_plan(a), make_plan(b)
    first, second = ({view.name: view for view in plan.views} for plan in plans)
    both = [(first[name], second[name]) for name in first if name in second]
    return SpecDiff(
        hashes=(plans[0].hash, plans[1].hash),
        fields=_fields(_surroundings(a), _surroundings(b)),
        removed=tuple(name for name in first if name not in second),
        added=tuple(name for name in second if name not in first),
        views=tuple(change for x, y in both if (change := _view(x, y)) is not None),
    )


def _surroundings(spec: Spec) -> dict[str, Any]:
    """The fields beside the views, by dotted path."""
    fields = spec.model_dump(mode="json", exclude={"version", "views"})
    image = {f"image.{key}": value for key, value in fields.pop("image").items()}
    return fields | image


def _view(a: ViewPlan, b: ViewPlan) -> ViewChange | None:
    changes = (*_ops(_steps(a), _steps(b), ""), *_draws(a, b))
    if not changes and a.layout == b.layout:
        return None
    codes = tuple(a.layout.diff(b.layout).splitlines())
    if not changes and a.layout.hash == b.layout.hash:
        return None  # only the ranges differ, because the images have another size
    return ViewChange(a.name, changes, (a.layout.hash, b.layout.hash), codes)


def _steps(view: ViewPlan) -> dict[str, Op]:
    return {step.id: step.op for step in view.steps}


def _draws(a: ViewPlan, b: ViewPlan) -> Iterator[OpChange]:
    """Ops that draw with another view than before."""

    def whose(view: ViewPlan, step: Step) -> str | None:
        return None if step.draws_as == view.name else step.draws_as

    before = {step.id: whose(a, step) for step in a.steps}
    for step in b.steps:
        if step.id in before and before[step.id] != whose(b, step):
            yield OpChange(step.id, "changed", {"draws as": (before[step.id], whose(b, step))})


def _ops(a: dict[str, Op], b: dict[str, Op], prefix: str) -> Iterator[OpChange]:
    """What differs between two lists of ops by id."""
    moved = _moved([i for i in a if i in b], [i for i in b if i in a])
    place_a, place_b = ({i: k for k, i in enumerate(ids, start=1)} for ids in (a, b))
    for op_id in (*a, *(i for i in b if i not in a)):
        path, places = prefix + op_id, (place_a.get(op_id), place_b.get(op_id))
        old, new = a.get(op_id), b.get(op_id)
        documents = tuple(op and op.model_dump(mode="json", exclude_none=True) for op in (old, new))
        if old is None or new is None:
            kind = "added" if old is None else "removed"
            yield OpChange(path, kind, places=places, ops=documents)  # type: ignore[arg-type]
            continue
        if op_id in moved:
            yield OpChange(path, "moved", places=places)
        if old.tag() != new.tag():
            yield OpChange(path, "replaced", places=places, ops=documents)  # type: ignore[arg-type]
            continue
        fields = _fields(*(op.model_dump(mode="json", exclude={"id", "ops"}) for op in (old, new)))
        if fields:
            yield OpChange(path, "changed", fields, places)
        if isinstance(old, Combinator) and isinstance(new, Combinator):
            yield from _ops(dict(identified(old.ops)), dict(identified(new.ops)), f"{path}.")


def _moved(a: Sequence[str], b: Sequence[str]) -> set[str]:
    """The ids that must move to make the order of `a` that of `b`, as few as can be."""
    place = {op_id: k for k, op_id in enumerate(a)}
    longest: list[str] = []
    runs: list[list[str]] = []  # for each id of `b`, the longest run that may stay and ends in it
    for op_id in b:
        best: list[str] = []
        for run in runs:
            if place[run[-1]] < place[op_id] and len(run) > len(best):
                best = run
        runs.append([*best, op_id])
        longest = runs[-1] if len(runs[-1]) > len(longest) else longest
    return set(a) - set(longest)


def _fields(a: dict[str, Any], b: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    both = {key: (a.get(key), b.get(key)) for key in {**a, **b}}
    return {key: (old, new) for key, (old, new) in both.items() if old != new}


def _views(names: Sequence[str]) -> str:
    return ("view " if len(names) == 1 else "views ") + ", ".join(names)
