"""The schedule of a view: which of its steps run together, and why others do not.

It is made from the plan alone, before any image, by passes: small functions from one list of stages
to the next. `augspec plan --explain` shows the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from augspec.compiler.merge import GeometricRun, mergeable_runs
from augspec.compiler.plan import Plan, Step, ViewPlan, alike
from augspec.ops.combinator import Combinator
from augspec.ops.commute import rule
from augspec.ops.contract import Incoming, Op, Size

Kind: TypeAlias = Literal["step", "merged", "resample", "chain", "fused"]


@dataclass(frozen=True)
class Stage:
    """Steps that run together.

    Attributes:
        kind: `step`, one op by itself; `merged`, geometric ops as one resample, all their own;
            `resample`, a filter and the windows into its result; `chain`, steps of colour and blur;
            `fused`, resamples and then a chain, in one kernel.
        steps: the steps, in order.
        parts: the stages that a fused one is made of.
        notes: what the passes did to these steps, or could not do, in words.
        run: what a merged stage renders.
    """

    kind: Kind
    steps: tuple[Step, ...]
    parts: tuple[Stage, ...] = ()
    notes: tuple[str, ...] = ()
    run: GeometricRun | None = None

    @property
    def resamples(self) -> tuple[Stage, ...]:
        """The resamples of a fused stage; without any, the images are taken as they come."""
        return tuple(part for part in self.parts if part.kind == "resample")

    @property
    def chain(self) -> tuple[Step, ...]:
        """The steps of a fused stage's chain."""
        return tuple(s for part in self.parts if part.kind == "chain" for s in part.steps)

    @property
    def op(self) -> Op:
        """The op of a stage of one step."""
        return self.steps[0].op

    def then(self, kind: Kind, other: Stage) -> Stage:
        """A stage of the steps of both."""
        return Stage(kind, self.steps + other.steps, notes=self.notes + other.notes)


Stages: TypeAlias = tuple[Stage, ...]
Pass: TypeAlias = Callable[[Stages, "Size | None"], Stages]


def one_by_one(view: ViewPlan) -> Stages:
    """The plain plan: every step by itself."""
    return tuple(Stage("step", (step,)) for step in view.steps)


def merge_runs(stages: Stages, size: Size | None) -> Stages:
    """Makes geometric ops in a row one resample, for those who ask for it: it changes pixels."""
    found: list[Stage] = []
    done = 0
    for run in mergeable_runs([stage.steps[0] for stage in stages], size):
        found += stages[done : run.start]
        inside = stages[run.start : run.stop]
        if run.refused is None and run.before is not None:
            steps = tuple(step for stage in inside for step in stage.steps)
            found.append(Stage("merged", steps, notes=(run.explain(),), run=run))
        else:
            found += [replace(inside[0], notes=(run.explain(),)), *inside[1:]]
        done = run.stop
    return (*found, *stages[done:])


def unpack_groups(stages: Stages, size: Size | None = None) -> Stages:
    """Takes the ops out of groups that run them one after the other, as they stand.

    The parameters say which of them act on a sample.
    """
    found: list[Stage] = []
    for stage in stages:
        op = stage.op
        if stage.kind == "step" and isinstance(op, Combinator) and op.in_order:
            inner = tuple(Stage("step", (_child(stage.steps[0], *child),)) for child in op.children)
            found += unpack_groups(inner)
        else:
            found.append(stage)
    return tuple(found)


def _child(step: Step, name: str, op: Op) -> Step:
    """An op of a group as a step of the view."""
    prefix = f"{name}."
    own = [p.removeprefix(prefix) for p in step.parameters if p.startswith(prefix)]
    seeds = [p.removeprefix(prefix) for p in step.seeds if p.startswith(prefix)]
    return replace(step, id=step.key(name), op=op, parameters=tuple(own), seeds=tuple(seeds))


def drop_idle(stages: Stages, size: Size | None) -> Stages:
    """Leaves out what changes no image, whatever is drawn: such as a resize to the size it has."""
    kept = []
    for stage, incoming in _with_sizes(stages, size):
        op = stage.op
        same = incoming is not None and op.output_size(incoming) == incoming
        whole = op.fused == "filter" or op.stays_inside(incoming)
        empty = op.keeps_size and not any(True for _ in op.leaves())  # a sequence of nothing
        if stage.kind == "step" and not op.parameters() and ((same and whole) or empty):
            continue
        kept.append(stage)
    return tuple(kept)


def hoist_flips(stages: Stages, size: Size | None = None) -> Stages:
    """Moves flips before the steps of colour and blur that they commute with, to the geometry.

    Exact but for the order of the sums in a mean or a blur.
    """
    found: list[Stage] = []
    for stage in stages:
        place = len(found)
        turns = stage.op.effect.places == "rearranges" and stage.op.fused == "window"
        if stage.kind == "step" and turns:
            while place and _commutes(stage.op, found[place - 1].op):
                place -= 1
        if place < len(found):
            note = f"{stage.steps[0].id} runs before {found[place].steps[0].id}: they commute"
            stage = replace(stage, notes=(*stage.notes, note))
        found.insert(place, stage)
    return tuple(found)


def _commutes(flip: Op, other: Op) -> bool:
    return other.fused == "chain" and rule(flip, other)[0] is True


def fold_windows(stages: Stages, size: Size | None) -> Stages:
    """Makes a filter and the windows into its result one resample: only those pixels are made.

    Every pixel is as before. A window that may show something around its image has zeros there,
    and what lies around an earlier window is not zero: such a window must be the first.
    """
    found: list[Stage] = []
    for stage, incoming in _with_sizes(stages, size):
        op = stage.op
        before = found[-1] if found else None
        if stage.kind != "step" or op.fused not in ("filter", "window"):
            found.append(stage)
        elif op.fused == "filter" or before is None or before.kind != "resample":
            found.append(replace(stage, kind="resample"))
        elif op.stays_inside(incoming) or before.steps[-1].op.fused == "filter":
            found[-1] = before.then("resample", stage)
        else:
            note = f"{stage.steps[0].id} is a resample of its own: it may show what is around "
            note += f"what {before.steps[-1].id} shows"
            found.append(replace(stage, kind="resample", notes=(*stage.notes, note)))
    return tuple(found)


def join_chains(stages: Stages, size: Size | None = None) -> Stages:
    """Makes steps of colour and blur that follow one another one chain."""
    return _joined(stages, lambda step: step.op.fused == "chain")


def join_colours(stages: Stages, size: Size | None = None) -> Stages:
    """Makes steps that follow one another, and look at no other pixels but for means, one chain."""
    return _joined(stages, lambda s: s.op.fused == "chain" and s.op.effect.tones is not None)


def _joined(stages: Stages, belongs: Callable[[Step], bool]) -> Stages:
    found: list[Stage] = []
    for stage in stages:
        if stage.kind != "step" or not belongs(stage.steps[0]):
            found.append(stage)
        elif found and found[-1].kind == "chain":
            found[-1] = found[-1].then("chain", stage)
        else:
            found.append(replace(stage, kind="chain"))
    return tuple(found)


def fuse(stages: Stages, size: Size | None = None) -> Stages:
    """Makes resamples, and the chain after them, one kernel that keeps an image in the caches."""
    found: list[Stage] = []
    for stage in stages:
        before = found[-1] if found else None
        if stage.kind == "merged":
            found.append(stage)
        elif stage.kind == "step":
            note = f"{stage.steps[0].id} runs by itself: the fused kernels have no {stage.op.tag()}"
            found.append(replace(stage, notes=(*stage.notes, note)))
        elif before is not None and before.kind == "fused" and not before.chain:
            found[-1] = replace(before.then("fused", stage), parts=(*before.parts, stage))
        else:
            found.append(Stage("fused", stage.steps, (stage,), stage.notes))
    return tuple(found)


def never_empty(stages: Stages, size: Size | None = None) -> Stages:
    """Gives a view without any stage one for what the fused kernels do besides.

    Bytes become numbers, and the result is normalised.
    """
    return stages or (Stage("fused", ()),)


PASSES: tuple[Pass, ...] = (
    unpack_groups,
    drop_idle,
    hoist_flips,
    fold_windows,
    join_chains,
    fuse,
    never_empty,
)
"""What makes the schedule of the fused kernels of a CPU out of the plain plan, in this order."""


def schedule(
    view: ViewPlan,
    size: Size | None = None,
    passes: Sequence[Pass] = PASSES,
    *,
    merge: bool = False,
) -> Stages:
    """The stages of a view.

    Args:
        view: the view.
        size: height and width of the images that come in; None where they differ.
        passes: what makes them out of the plain plan, in this order.
        merge: whether geometric ops in a row are one resample.
    """
    stages = one_by_one(view)
    for one in (merge_runs, *passes) if merge else passes:
        stages = one(stages, size)
    return stages


def stack_views(
    views: Iterable[ViewPlan],
    size: Size | None = None,
    passes: Sequence[Pass] = PASSES,
    *,
    merge: bool = False,
) -> list[list[ViewPlan]]:
    """The views, with those together that run as one batch: they have the same ops.

    Only where their first stage has a kernel that reads images where they are: stacking views for
    another would copy the images. For the arguments, see `schedule`.
    """
    found: list[list[ViewPlan]] = []
    for group in alike(views):
        first = schedule(group[0], size, passes, merge=merge)[0]
        together = first.kind in ("fused", "resample")
        found += [group] if together else [[view] for view in group]
    return found


class Scheduled:
    """The schedules of a plan's views, found once for each size.

    Args:
        plan: whose views they are.
        passes: what makes them, see `schedule`.
    """

    def __init__(self, plan: Plan, passes: Sequence[Pass]) -> None:
        self.plan, self._passes = plan, tuple(passes)
        self._stages: dict[tuple[str, Size | None], Stages] = {}
        self._batches: dict[tuple[tuple[str, ...], Size | None], list[list[ViewPlan]]] = {}

    def stages(self, view: ViewPlan, size: Size | None) -> Stages:
        """See `schedule`."""
        key = (view.name, size)
        if key not in self._stages:
            self._stages[key] = schedule(view, size, self._passes, merge=self.plan.merge)
        return self._stages[key]

    def batches(self, names: tuple[str, ...], size: Size | None) -> list[list[ViewPlan]]:
        """The views of these names, see `stack_views`."""
        key = (names, size)
        if key not in self._batches:
            views = [self.plan.view(name) for name in names]
            self._batches[key] = stack_views(views, size, self._passes, merge=self.plan.merge)
        return self._batches[key]


def _with_sizes(stages: Sequence[Stage], size: Size | None) -> list[tuple[Stage, Size | None]]:
    """The stages, each with the size of the images that reach it, where it is known."""
    incoming, found = Incoming(size), []
    for stage in stages:
        found.append((stage, incoming.size))
        for step in stage.steps:
            incoming = step.op.outgoing(incoming)
    return found
