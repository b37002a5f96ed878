"""The plan: the compiled, frozen, hashable, torch-free recipe of a pipeline."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from functools import cached_property

from augspec.encoding.layout import Layout, Slot
from augspec.language.spec import Normalize, Spec, View
from augspec.ops.contract import Op, Size


@dataclass(frozen=True)
class Step:
    """One op of a view, in its place.

    Attributes:
        id: the op's id within the view.
        op: the op.
        word: 32 bits that stand for the op in the counter of the random generator. They come from
            the id alone, so that inserting an op does not change what the others draw.
        columns: the step's columns of the code, as (start, stop).
        parameters: the names of the op's parameters; empty for an op that draws nothing.
    """

    id: str
    op: Op
    word: int
    columns: tuple[int, int]
    parameters: tuple[str, ...]

    def key(self, parameter: str) -> str:
        """The name of a parameter in `ViewBatch.params`, such as `color_jitter.hue`."""
        return f"{self.id}.{parameter}"


@dataclass(frozen=True)
class ViewPlan:
    """How one view is made, and what its code looks like.

    Attributes:
        name: the view's name.
        word: 32 bits that stand for the view in the counter of the random generator.
        steps: the ops in the order in which they act.
        layout: the columns of the view's code.
    """

    name: str
    word: int
    steps: tuple[Step, ...]
    layout: Layout


@dataclass(frozen=True)
class Plan:
    """How all views are made.

    Attributes:
        name: the spec's name.
        channels: how many channels the images have.
        normalize: what comes last in every view.
        views: the views in the order of the spec.
    """

    name: str
    channels: int
    normalize: Normalize | None
    views: tuple[ViewPlan, ...]

    @cached_property
    def hash(self) -> str:
        """A stable digest of all that decides the views' pixels and codes, seed and epoch aside."""
        content = {
            "channels": self.channels,
            "normalize": self.normalize and self.normalize.model_dump(mode="json"),
            "views": {
                view.name: [[step.id, step.op.model_dump(mode="json")] for step in view.steps]
                for view in self.views
            },
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def make_plan(spec: Spec) -> Plan:
    """Compiles a spec into its plan."""
    return Plan(
        name=spec.name,
        channels=spec.image.channels,
        normalize=spec.normalize,
        views=tuple(_view(name, view, spec.input_size) for name, view in spec.views.items()),
    )


def word(name: str) -> int:
    """32 bits that stand for a name: the same on every machine and in every version."""
    return zlib.crc32(name.encode())


def _view(name: str, view: View, size: Size | None) -> ViewPlan:
    steps: list[Step] = []
    slots: list[Slot] = []
    column = 0
    for op_id, op in view.identified():
        start, parameters = column, op.parameters(size)
        for parameter in parameters:
            columns = tuple(
                f"{op_id}.{parameter.name}.{suffix}" if suffix else f"{op_id}.{parameter.name}"
                for suffix in parameter.codec.columns
            )
            slots.append(
                Slot(
                    op=op_id,
                    parameter=parameter.name,
                    unit=parameter.unit,
                    codec=parameter.codec.name,
                    low=parameter.low,
                    high=parameter.high,
                    start=column,
                    columns=columns,
                    differentiable=parameter.differentiable,
                )
            )
            column += len(columns)
        names = tuple(parameter.name for parameter in parameters)
        steps.append(Step(op_id, op, word(op_id), (start, column), names))
        size = op.output_size(size) if size is not None else op.fixed_output_size()
    return ViewPlan(name, word(name), tuple(steps), Layout(name, tuple(slots)))
