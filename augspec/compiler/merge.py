"""Which geometric ops in a row may be one resample, and views rendered that way.

Ops that follow one another resample the image once each: that blurs, and costs. This pass renders
them through the product of their maps at once (`augspec.kernels.merged`). It changes pixels, and so
it is for those who ask for it: edges between image and fill are sharper, detail that each resample
would have blurred stays, and what a warp shrinks is averaged, which ops alone only do for crops and
resizes.

The rule is torch-free. A run is a stretch of geometric steps, and nothing that acts in between. It
is one resample if two of its ops or more resample, and if they agree:

- `nearest` picks pixels, the others average them. `bilinear` and `bicubic` agree: then all is
  `bicubic`.
- `antialias: false` of one crop or resize, and `true` of another, do not agree. With `false`
  nothing is averaged beforehand.
- A margin that mirrors or repeats the image has no map. A `constant` one has, and fills may differ.
- `resize` and `resized_crop` with `nearest` pick what lies at the corner of a cell, as PyTorch
  does, and the ops that warp what lies at its middle.

Where ops do not agree, a new run begins. A combinator counts if all its ops are geometric, a random
order if besides they agree in all, the fill included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from augspec.compiler.geometry import Atom, taken_apart
from augspec.compiler.plan import Step, own_params
from augspec.ops.center_crop import CenterCrop
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Incoming, Op, Size
from augspec.ops.geometry import Interpolation, WarpOp
from augspec.ops.one_of import OneOf
from augspec.ops.pad import Pad, margins
from augspec.ops.random_crop import RandomCrop
from augspec.ops.rotate import Rotate
from augspec.ops.scale import Scale
from augspec.ops.translate import Translate

if TYPE_CHECKING:
    from torch import Tensor

    from augspec.kernels.merged import Frame


@dataclass(frozen=True)
class GeometricRun:
    """Geometric steps of a view that act one after the other, and whether they are one resample.

    Attributes:
        start: the place of the first among the view's steps.
        stop: the place after the last.
        parts: their ops.
        refused: why they are left as they are; None where they are one resample.
    """

    start: int
    stop: int
    parts: tuple[Atom, ...]
    refused: str | None

    @property
    def before(self) -> Size | None:
        """The size of the images that reach the first, where it is known."""
        return self.parts[0].before.size

    @property
    def after(self) -> Size | None:
        """The size of those that leave the last, where it is known."""
        return self.parts[-1].after.size

    @property
    def interpolation(self) -> Interpolation:
        """How pixels in between are found: the finest of what its ops ask for."""
        asked = {op.interpolation for _, op in _resampling(self.parts)}  # type: ignore[attr-defined]
        return next(i for i in ("bicubic", "bilinear", "nearest") if i in asked)  # type: ignore[return-value]

    @property
    def antialias(self) -> bool:
        """Whether images are averaged beforehand: an op may shrink them, and none forbids it."""
        forbidden = any(
            getattr(op, "antialias", True) is False for _, op in _resampling(self.parts)
        )
        if forbidden or self.interpolation == "nearest":
            return False
        return any(
            may_shrink(op, part.before.size) for part in self.parts for _, op in part.leaves()
        )

    def explain(self) -> str:
        """What becomes of the run, in a line."""
        ops = ", ".join(part.path for part in self.parts)
        if self.refused is not None:
            return f"{ops}: as they are: {self.refused}"
        return f"{ops}: one {self.interpolation} resample" + (
            ", averaged beforehand where it shrinks" if self.antialias else ""
        )


def mergeable_runs(steps: Sequence[Step], size: Size | None = None) -> tuple[GeometricRun, ...]:
    """The geometric runs among the steps of a view, and which of them are one resample each.

    Args:
        steps: the view's steps.
        size: height and width of the images that come in, where they are known.
    """
    placed = list(_placed(steps, size))
    found: list[GeometricRun] = []
    for geometric, group in groupby(placed, key=lambda item: item[1].op.geometric):
        if geometric:
            found += _runs(list(group))
    return tuple(found)


def never_merges(op: Op) -> str | None:
    """Why an op is part of no merged run, whatever stands beside it; None where it may be."""
    if isinstance(op, Combinator):
        return _disagree_in_random_order(op)
    mode = getattr(op, "mode", "constant")
    if mode != "constant" and any(margins(op.padding)):  # type: ignore[attr-defined]
        return f"a margin that shows the image again ({mode}) has no map"
    if getattr(op, "interpolation", None) == "nearest" and not isinstance(op, WarpOp):
        return "with nearest it picks what lies at the corner of a cell, and a warp at its middle"
    return None


def disagreement(first: tuple[str, Op], second: tuple[str, Op]) -> str | None:
    """Why two ops that resample are not one resample; None where they may be.

    Args:
        first: an op with its id.
        second: another.
    """
    (name, op), (other_name, other) = first, second
    modes = [getattr(each, "interpolation", "bilinear") for each in (op, other)]
    if len(set(modes)) > 1 and "nearest" in modes:
        picks, averages = (name, other_name) if modes[0] == "nearest" else (other_name, name)
        smooth = modes[0] if modes[1] == "nearest" else modes[1]
        return f"{picks} picks pixels (nearest), and {averages} averages them ({smooth})"
    own, its = (getattr(each, "antialias", None) for each in (op, other))
    if None not in (own, its) and own != its:
        with_it, without = (name, other_name) if own else (other_name, name)
        return f"{with_it} averages where it shrinks, and {without} does not (antialias: false)"
    return None


def may_shrink(op: Op, size: Size | None) -> bool:
    """Whether a draw of an op may make anything smaller, for images of this size if it is known.

    False only where that is certain.
    """
    if not _resamples(op) or isinstance(op, Rotate | Translate):
        return False
    if isinstance(op, Scale):
        return op.factor.low < 1
    if isinstance(op, WarpOp) or size is None:
        return True
    return any(side > new for side, new in zip(size, op.output_size(size), strict=True))


def fill_beyond(op: Op, size: Size) -> float | None:
    """The intensity that an op shows beyond the images of this size that reach it, if it does."""
    if isinstance(op, WarpOp):
        return op.fill
    if isinstance(op, Pad | RandomCrop):
        return op.fill if any(margins(op.padding)) else None
    if isinstance(op, CenterCrop):
        larger = any(new > side for side, new in zip(size, op.output_size(size), strict=True))
        return 0.0 if larger else None
    return None


def render_merged(steps: Sequence[Step], x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
    """Renders the steps of a view, each run that may be one resample as one.

    Args:
        steps: the view's steps.
        x: `(B, C, H, W)`, floating point in [0, 1].
        params: the view's parameters by `op.parameter`, `(B,)` each.

    Returns:
        `(B, C, H, W)` in the view's size, differentiable in images and parameters.

    Raises:
        KeyError: a parameter is missing.
    """
    found = mergeable_runs(steps, (x.shape[-2], x.shape[-1]))
    runs = {run.start: run for run in found if run.refused is None}
    index = 0
    while index < len(steps):
        run, step = runs.get(index), steps[index]
        if run is not None:
            x, index = render_run(run, x, params), run.stop
        else:
            x, index = step.op.apply(x, step.own(params)), index + 1
    return x


def render_run(run: GeometricRun, x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
    """Renders all of a run as one resample, whatever the rule says; see `render_merged`."""
    import torch

    from augspec.kernels.merged import resample_once

    maps: list[Tensor] = []
    frames: list[Frame] = []
    # an op without parameters does not know where the images live; and copying what it makes to a
    # GPU would make the host wait
    with torch.device(x.device):
        for part in run.parts:
            before = part.before.size
            assert before is not None
            own = own_params(part.path, (p.name for p in part.op.parameters()), params)
            moves = part.op.moves(own, before, len(x))
            maps += [matrix for matrix, _ in moves]
            frames += [_frame(part, before)] * len(moves)
    assert run.after is not None
    return resample_once(
        x, maps, frames, run.after, interpolation=run.interpolation, antialias=run.antialias
    )


def _placed(steps: Sequence[Step], size: Size | None) -> Iterator[tuple[int, Step, Incoming]]:
    """Each step with its place and what reaches it."""
    incoming = Incoming(size)
    for index, step in enumerate(steps):
        yield index, step, incoming
        incoming = step.op.outgoing(incoming)


def _runs(group: Sequence[tuple[int, Step, Incoming]]) -> Iterator[GeometricRun]:
    """The runs of steps that are all geometric."""
    start = 0
    parts: list[Atom] = []
    ended = None  # why a run had to end, which is also why there is no more of it
    for place, (_, step, incoming) in enumerate(group):
        added = list(taken_apart(step.id, step.op, incoming))
        clash = _clash(parts, added) if parts else None
        if clash is not None:
            yield _run(group[start:place], parts, clash)
            start, parts, ended = place, [], clash
        parts += added
    yield _run(group[start:], parts, ended)


def _run(
    group: Sequence[tuple[int, Step, Incoming]], parts: Sequence[Atom], ended: str | None
) -> GeometricRun:
    """A run of these steps; `ended` says why there is no more of it."""
    why = next((f"{p.path}: {why}" for p in parts if (why := never_merges(p.op))), None)
    why = why or _inner_clash(parts)
    counts = {step.id: _resamplings(step.op) for _, step, _ in group}
    if why is None and sum(counts.values()) < 2:
        why = next((f"only {step} resamples" for step, n in counts.items() if n), "none resamples")
        why += f"; {ended}" if ended else ""
    start = group[0][0]
    return GeometricRun(start, start + len(group), tuple(parts), why)


def _clash(parts: Sequence[Atom], added: Sequence[Atom]) -> str | None:
    """Why these parts do not go on with those that follow; None where they may."""
    for part in (*parts, *added):
        why = never_merges(part.op)
        if why is not None:
            return f"{part.path}: {why}"
    pairs = ((a, b) for b in _resampling(added) for a in _resampling(parts))
    return next((why for a, b in pairs if (why := disagreement(a, b))), None)


def _inner_clash(parts: Sequence[Atom]) -> str | None:
    """Why the ops of one step do not agree among themselves; None where they do."""
    ops = _resampling(parts)
    pairs = ((a, b) for k, b in enumerate(ops) for a in ops[:k])
    return next((why for a, b in pairs if (why := disagreement(a, b))), None)


def _disagree_in_random_order(op: Combinator) -> str | None:
    """Why ops in random order are not a part of a run; None where they may be."""
    leaves = [(name.rstrip("."), leaf) for name, leaf, _ in op.rendered]
    fills = {leaf.fill for _, leaf in leaves if isinstance(leaf, WarpOp)}
    if len(fills) > 1:
        shown = ", ".join(f"{fill:g}" for fill in sorted(fills))
        return f"in random order, fills must agree, got {shown}"
    return next((why for _, leaf in leaves if (why := never_merges(leaf))), None)


def _resamples(op: Op) -> bool:
    """Whether an op finds pixels in between others; the rest only move whole ones."""
    return hasattr(op, "interpolation") and op.gate > 0 and op.can_act


def _resamplings(op: Op) -> int:
    """How often an op may resample one sample: of several to choose from, one does."""
    if isinstance(op, Combinator):
        each = [_resamplings(child) for _, child in op.children]
        return max(each, default=0) if isinstance(op, OneOf) else sum(each)
    return int(_resamples(op))


def _resampling(parts: Sequence[Atom]) -> list[tuple[str, Op]]:
    """The ops that resample, with their ids."""
    return [(name, op) for part in parts for name, op in part.leaves() if _resamples(op)]


def _frame(part: Atom, size: Size) -> Frame:
    """The images that reach each map of a part."""
    from augspec.kernels.merged import Frame

    ops = [op for _, op in part.leaves()]
    fill = next((fill for op in ops if (fill := fill_beyond(op, size)) is not None), None)
    return Frame(size, fill, any(getattr(op, "projective", True) for op in ops))
