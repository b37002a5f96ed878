"""The plan: the compiled, frozen, hashable, torch-free recipe of a pipeline."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from augspec.encoding.layout import Layout, Slot
from augspec.language.diagnostics import meant
from augspec.language.spec import Normalize, Spec
from augspec.language.views import Rendering
from augspec.ops.contract import Incoming, Op, Size, identified
from augspec.ops.parameter import Parameter
from augspec.ops.sharing import Stream

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class StreamPlan:
    """Uniforms that a step draws: what stands in the counter of the random generator.

    Attributes:
        view: 32 bits that stand for the view whose draw it is.
        slot: 32 bits that stand for the op. They come from its id alone, so that inserting an op
            does not change what the others draw.
        count: how many uniforms.
        samples: how many samples in a row share them.
    """

    view: int
    slot: int
    count: int
    samples: int


@dataclass(frozen=True)
class Step:
    """One op of a view, in its place.

    Attributes:
        id: the op's id within the view.
        op: the op.
        columns: the step's columns of the code, as (start, stop).
        parameters: the names of the op's parameters; empty for an op that draws nothing.
        seeds: those among them that have no columns: the seeds of random fields.
        draws_as: the name of the view whose draws the step has, mostly its own.
        streams: the uniforms that the step draws.
    """

    id: str
    op: Op
    columns: tuple[int, int]
    parameters: tuple[str, ...]
    seeds: tuple[str, ...]
    draws_as: str
    streams: tuple[StreamPlan, ...]

    def key(self, parameter: str) -> str:
        """The name of a parameter in `ViewBatch.params`, such as `color_jitter.hue`."""
        return f"{self.id}.{parameter}"

    def own(self, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The step's parameters among those of the view, by their own names.

        Raises:
            KeyError: one is missing.
        """
        return own_params(self.id, self.parameters, params)


@dataclass(frozen=True)
class ViewPlan:
    """How one view is made, and what its code looks like.

    Attributes:
        name: the view's name.
        steps: the ops in the order in which they act.
        layout: the columns of the view's code.
    """

    name: str
    steps: tuple[Step, ...]
    layout: Layout

    @overload
    def placed(self, size: Size) -> Iterator[tuple[Step, Size]]: ...
    @overload
    def placed(self, size: Size | None) -> Iterator[tuple[Step, Size | None]]: ...
    def placed(self, size: Size | None) -> Iterator[tuple[Step, Size | None]]:
        """The steps, each with the size of the images that reach it, where that is known.

        Args:
            size: of the images that come in.
        """
        incoming = Incoming(size)
        for step in self.steps:
            yield step, incoming.size
            incoming = step.op.outgoing(incoming)

    def output_size(self, size: Size | None) -> Size | None:
        """The size of the view, where it is known; `size` as for `placed`."""
        incoming = Incoming(size)
        for step in self.steps:
            incoming = step.op.outgoing(incoming)
        return incoming.size


@dataclass(frozen=True)
class Plan:
    """How all views are made.

    Attributes:
        name: the spec's name.
        channels: how many channels the images have.
        normalize: what comes last in every view.
        views: the views in the order of the spec.
        merge: whether geometric ops in a row are one resample, see `augspec.compiler.merge`.
    """

    name: str
    channels: int
    normalize: Normalize | None
    views: tuple[ViewPlan, ...]
    merge: bool = False

    def view(self, name: str) -> ViewPlan:
        """The view of this name.

        Raises:
            KeyError: there is none.
        """
        for view in self.views:
            if view.name == name:
                return view
        names = [view.name for view in self.views]
        raise KeyError(f"no view {name!r}{meant(name, names)} (views: {', '.join(names)})")

    @cached_property
    def hash(self) -> str:
        """A stable digest of all that decides the views' pixels and codes, seed and epoch aside."""
        content: dict[str, Any] = {
            "channels": self.channels,
            "normalize": self.normalize and self.normalize.model_dump(mode="json"),
            "views": {
                view.name: [
                    [step.id, step.draws_as, step.op.model_dump(mode="json")] for step in view.steps
                ]
                for view in self.views
            },
        }
        if self.merge:
            content["merge"] = True
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def make_plan(spec: Spec, *, merge: bool = False) -> Plan:
    """Compiles a spec into its plan.

    Args:
        spec: a validated spec.
        merge: whether geometric ops in a row are one resample, which changes pixels.
    """
    return Plan(
        name=spec.name,
        channels=spec.image.channels,
        normalize=spec.normalize,
        views=tuple(_view(rendering, spec.input_size) for rendering in spec.renderings.values()),
        merge=merge,
    )


def own_params(path: str, names: Iterable[str], params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of the op with this id among those of its view, by their own names.

    Raises:
        KeyError: one is missing.
    """
    found = {}
    for name in names:
        key = f"{path}.{name}"
        if key not in params:
            raise KeyError(f"parameter {key!r} is missing")
        found[name] = params[key]
    return found


def alike(views: Iterable[ViewPlan]) -> list[list[ViewPlan]]:
    """The views, with those together that have the same ops under the same ids."""
    groups: list[list[ViewPlan]] = []
    for view in views:
        steps = [(step.id, step.op) for step in view.steps]
        for group in groups:
            if steps == [(step.id, step.op) for step in group[0].steps]:
                group.append(view)
                break
        else:
            groups.append([view])
    return groups


def word(name: str) -> int:
    """32 bits that stand for a name: the same on every machine and in every version."""
    return zlib.crc32(name.encode())


def _view(rendering: Rendering, size: Size | None) -> ViewPlan:
    steps: list[Step] = []
    slots: list[Slot] = []
    incoming = Incoming(size)
    for op_id, op in identified(rendering.ops):
        start = slots[-1].stop if slots else 0
        parameters = op.parameters(incoming.size)
        coded = [parameter for parameter in parameters if parameter.codec.width]
        for parameter in coded:
            slots.append(_slot(op_id, parameter, slots[-1].stop if slots else 0))
        steps.append(
            Step(
                id=op_id,
                op=op,
                columns=(start, slots[-1].stop if slots else 0),
                parameters=tuple(parameter.name for parameter in parameters),
                seeds=op.seeds,
                draws_as=rendering.draws_as[op_id],
                streams=tuple(
                    _stream(op_id, stream, rendering.draws_as[op_id]) for stream in op.streams()
                ),
            )
        )
        incoming = op.outgoing(incoming)
    return ViewPlan(rendering.name, tuple(steps), Layout(rendering.name, tuple(slots)))


def _slot(op_id: str, parameter: Parameter, start: int) -> Slot:
    """The columns of a parameter; one of an op inside a combinator belongs to that op."""
    path, _, name = f"{op_id}.{parameter.name}".rpartition(".")
    return Slot(
        op=path,
        parameter=name,
        unit=parameter.unit,
        codec=parameter.codec.name,
        low=parameter.low,
        high=parameter.high,
        start=start,
        columns=tuple(
            f"{path}.{name}.{suffix}" if suffix else f"{path}.{name}"
            for suffix in parameter.codec.columns
        ),
        differentiable=parameter.differentiable,
    )


def _stream(op_id: str, stream: Stream, draws_as: str) -> StreamPlan:
    slot, samples = f"{op_id}{stream.path}", stream.share.samples
    if samples > 1:
        slot += f"#{samples}"  # what samples share must not repeat what one of them drew alone
    # no view has an empty name: what all views share is nobody's own
    view = "" if stream.share.views else draws_as
    return StreamPlan(word(view), word(slot), stream.count, samples)
