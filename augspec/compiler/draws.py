"""Draws: the codes of a batch, and the seeds of its random fields, without any image.

Equal ops of several views are drawn as one batch: what a draw costs on a CPU is mostly the number
of calls, not of samples.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from augspec.compiler.plan import Plan, Step, StreamPlan, ViewPlan
from augspec.kernels.philox import StreamTable
from augspec.ops.contract import Op, Parameters
from augspec.ops.sizes import Sizes, common, leaving


def draw_codes(
    plan: Plan,
    seed: int,
    ids: Tensor,
    epoch: int,
    size: Sizes,
    positions: Tensor | None = None,
) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """Draws the codes of every view, and the seeds of its random fields.

    Args:
        plan: whose views are drawn.
        seed: keys every draw, together with the epoch; in [0, 2**32).
        ids: `(B,)` integers that name the samples.
        epoch: in [0, 2**32).
        size: height and width of the images, or `(B, 2)` int64 on the CPU: those of each. A sample
            gets what it would get in a batch of images of its own size.
        positions: `(B,)` integers, where each sample stands in the epoch's order; the ids if None.

    Returns:
        Codes `(B, E)` float32 by view, and seeds `(B,)` float64 by view and `op.seed`, both on the
        device of `ids`.

    Raises:
        ValueError: ids or positions are not `(B,)` integers, or the sizes are not `(B, 2)` int64.
    """
    found: dict[tuple[str, str], Tensor] = {}
    seeds: dict[str, dict[str, Tensor]] = {view.name: {} for view in plan.views}
    for stack, uniforms, at in _draws(plan).everything.draws(seed, ids, epoch, size, positions):
        if stack.seeded:
            drawn = stack.op.drawn(uniforms, at)
            code = stack.op.encode_canonical(drawn).float()
            stack.share_seeds(drawn, seeds, len(ids))
        else:
            code = stack.op.drawn_code(uniforms, at)
        parts = code.unflatten(0, (len(stack.streams), len(ids))).unbind(0)
        for view, step, draw in stack.steps:
            found[view, step.id] = parts[draw]
    codes = {}
    for plan_view in plan.views:
        own = [found[plan_view.name, step.id] for step in plan_view.steps if step.streams]
        # in memory of its own, even where it is only one step's
        own = own or [torch.empty(len(ids), 0, device=ids.device)]
        codes[plan_view.name] = torch.cat(own, dim=-1)
    return codes, seeds


def draw_seeds(
    plan: Plan,
    seed: int,
    ids: Tensor,
    epoch: int,
    size: Sizes,
    positions: Tensor | None = None,
) -> dict[str, dict[str, Tensor]]:
    """The seeds that `draw_codes` gives for the same arguments, where no code is wanted."""
    found: dict[str, dict[str, Tensor]] = {view.name: {} for view in plan.views}
    for stack, uniforms, at in _draws(plan).seeded.draws(seed, ids, epoch, size, positions):
        stack.share_seeds(stack.op.drawn(uniforms, at), found, len(ids))
    return found


@dataclass(frozen=True)
class Stack:
    """Equal ops of several views, on images of equal size, that are drawn as one batch.

    Attributes:
        op: the op.
        steps: the steps that have its draws, with their views and with which of the draws.
        streams: for each draw, its streams; draws that are shared are drawn once.
    """

    op: Op
    steps: tuple[tuple[str, Step, int], ...]
    streams: tuple[tuple[StreamPlan, ...], ...]

    @property
    def seeded(self) -> bool:
        """Whether seeds of random fields are among the parameters."""
        return bool(self.steps[0][1].seeds)

    def share_seeds(
        self, params: Parameters, seeds: dict[str, dict[str, Tensor]], batch: int
    ) -> None:
        """Adds the seeds among drawn parameters to those of each view.

        Args:
            params: the parameters of all draws, `(draws B,)` each.
            seeds: by view and `op.seed`.
            batch: B.
        """
        for view, step, draw in self.steps:
            for name in step.seeds:
                # a copy: what one view has must not change with what another has
                rows = params[name][draw * batch : (draw + 1) * batch].clone()
                seeds[view][step.key(name)] = rows


def stacked(
    views: Iterable[ViewPlan], wanted: Callable[[Step], object] = lambda step: True
) -> list[Stack]:
    """Puts equal ops together.

    Args:
        views: all views.
        wanted: which of the steps that draw anything are wanted.
    """
    found: dict[str, list[tuple[str, Step]]] = {}
    for view in views:
        reaching: list[str] = []  # what decides the size of the images that reach a step
        for step in view.steps:
            written = step.op.model_dump_json(exclude={"id", "share"})
            if step.streams and wanted(step):
                streams = [(stream.count, stream.samples) for stream in step.streams]
                key = json.dumps([written, streams, reaching])
                found.setdefault(key, []).append((view.name, step))
            if step.op.fixed_output_size() is not None:
                reaching = [str(step.op.fixed_output_size())]
            elif not step.op.keeps_size:
                reaching = [*reaching, written]
    return [_stack(equal) for equal in found.values()]


def _stack(equal: list[tuple[str, Step]]) -> Stack:
    draws = list(dict.fromkeys(step.streams for _, step in equal))
    steps = tuple((view, step, draws.index(step.streams)) for view, step in equal)
    return Stack(equal[0][1].op, steps, tuple(draws))


class _StepDraws:
    """How some steps of a plan are drawn.

    Args:
        plan: the plan.
        stacks: the steps.
    """

    def __init__(self, plan: Plan, stacks: list[Stack]) -> None:
        self.stacks = stacks
        drawing = {stack.steps[0][0] for stack in stacks}
        self._views = [view for view in plan.views if view.name in drawing]
        self._sizes = lru_cache(maxsize=64)(self._find_sizes)
        by_samples: dict[int, list[tuple[tuple[int, int, int], ...]]] = {}
        for stack in stacks:
            for streams in zip(*stack.streams, strict=True):
                words = tuple((s.view, s.slot, s.count) for s in streams)
                by_samples.setdefault(streams[0].samples, []).append(words)
        self._tables = {samples: StreamTable(words) for samples, words in by_samples.items()}

    def draws(
        self, seed: int, ids: Tensor, epoch: int, size: Sizes, positions: Tensor | None
    ) -> Iterator[tuple[Stack, list[Tensor], Sizes]]:
        """What each stack is drawn from: uniforms, and the sizes of the images; see `draw_codes`.

        Both are the arguments of `Op.draw`.
        """
        positions = _checked(ids, positions)
        size = _checked_size(size, len(ids))
        pieces = {
            samples: iter(
                table.uniforms(ids if samples == 1 else positions // samples, seed, epoch)
            )
            for samples, table in self._tables.items()
        }
        sizes = self._sizes(size) if isinstance(size, tuple) else self._find_sizes(size)
        for stack, at in zip(self.stacks, sizes, strict=True):
            own = [next(pieces[stream.samples]) for stream in stack.streams[0]]
            if not isinstance(at, tuple):
                at = at.repeat(len(stack.streams), 1)
            yield stack, own, at

    def _find_sizes(self, size: Sizes) -> list[Sizes]:
        """The sizes of the images that reach each stack, for those that come in."""
        found: dict[tuple[str, str], Sizes] = {}
        for view in self._views:
            at = size
            for step in view.steps:
                found[view.name, step.id] = at
                at = leaving(step.op, at)
        return [found[stack.steps[0][0], stack.steps[0][1].id] for stack in self.stacks]


class _Draws:
    """How all steps of a plan are drawn, and those alone that have seeds."""

    def __init__(self, plan: Plan) -> None:
        self.everything = _StepDraws(plan, stacked(plan.views))
        self.seeded = _StepDraws(plan, stacked(plan.views, lambda step: step.seeds))


_found: dict[int, _Draws] = {}


def _draws(plan: Plan) -> _Draws:
    """How a plan is drawn, found once; by identity, since to hash a plan takes a while."""
    if id(plan) not in _found:
        _found[id(plan)] = _Draws(plan)
        weakref.finalize(plan, _found.pop, id(plan), None)
    return _found[id(plan)]


def _checked(ids: Tensor, positions: Tensor | None) -> Tensor:
    """The positions, or the ids if there are none."""
    if ids.ndim != 1 or ids.is_floating_point():
        raise ValueError(f"ids must be (B,) integers, got {tuple(ids.shape)} {ids.dtype}")
    positions = ids if positions is None else positions.to(ids.device)
    if positions.shape != ids.shape or positions.is_floating_point():
        raise ValueError(
            f"positions must be ({len(ids)},) integers, "
            f"got {tuple(positions.shape)} {positions.dtype}"
        )
    return positions


def _checked_size(size: Sizes, batch: int) -> Sizes:
    """One size where all images have it."""
    if not isinstance(size, Tensor):
        return size[0], size[1]
    if size.shape != (batch, 2) or size.dtype != torch.int64 or size.device.type != "cpu":
        raise ValueError(
            f"sizes must be ({batch}, 2) int64 on the CPU, "
            f"got {tuple(size.shape)} {size.dtype} on {size.device}"
        )
    return common(size)
