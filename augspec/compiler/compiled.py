"""Renders with `torch.compile`: runs of colour steps become one kernel, on any device.

Differentiable as the reference is. Only steps that look at no other pixels are compiled: what
Inductor makes of resampling is slower than the library's own kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from augspec.compiler.eager import run_stage
from augspec.compiler.plan import Plan, ViewPlan
from augspec.compiler.schedule import Scheduled, Stage, drop_idle, join_colours
from augspec.ops.contract import Op, Size

Run = Callable[[Tensor, list[dict[str, Tensor]]], Tensor]


class CompiledRenderer(Scheduled):
    """Renders views one op after the other, but for runs of colour steps.

    Args:
        plan: whose views are rendered.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, (drop_idle, join_colours))
        self._runs: dict[tuple[str, Size], list[Run | None]] = {}
        self._by_ops: dict[tuple[Op, ...], Run] = {}

    def render(self, view: ViewPlan, x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
        """See `augspec.compiler.eager.render_eager`."""
        size = (x.shape[-2], x.shape[-1])
        stages = self.stages(view, size)
        if (view.name, size) not in self._runs:
            self._runs[view.name, size] = [self._run_of(stage) for stage in stages]
        for stage, run in zip(stages, self._runs[view.name, size], strict=True):
            own = [step.own(params) for step in stage.steps]
            x = run_stage(stage, x, own) if run is None else run(x, own)
        return x

    def _run_of(self, stage: Stage) -> Run | None:
        """The compiled run of a chain; those of equal ops are one, in whatever view they are."""
        if stage.kind != "chain":
            return None
        ops = tuple(step.op for step in stage.steps)
        if ops not in self._by_ops:
            self._by_ops[ops] = _compiled(ops)
        return self._by_ops[ops]


def _compiled(ops: Sequence[Op]) -> Run:
    def run(x: Tensor, params: Sequence[Mapping[str, Tensor]]) -> Tensor:
        for op, own in zip(ops, params, strict=True):
            x = op.apply(x, own)
        return x

    # sizes are symbols from the start, so that a smaller last batch compiles nothing anew
    compiled: Run = torch.compile(run, dynamic=True, fullgraph=True)
    return compiled
