"""Renders with `torch.compile`: runs of colour steps become one kernel, on any device.

Differentiable as the reference is. Only steps that look at no other pixels are compiled: what
Inductor makes of resampling is slower than the library's own kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from augspec.compiler.eager import own_params, run_stage
from augspec.compiler.plan import Step, ViewPlan
from augspec.compiler.schedule import Stages, drop_idle, join_colours, merge_runs, one_by_one
from augspec.ops.contract import Size

Run = Callable[[Tensor, list[dict[str, Tensor]]], Tensor]


class CompiledRenderer:
    """Renders views one op after the other, but for runs of colour steps.

    Args:
        merge: whether geometric ops in a row are one resample.
    """

    def __init__(self, *, merge: bool = False) -> None:
        self._merge = merge
        self._runs: dict[tuple[Step, ...], Run] = {}
        self._schedules: dict[tuple[str, Size], Stages] = {}

    def render(self, view: ViewPlan, x: Tensor, params: Mapping[str, Tensor]) -> Tensor:
        """See `augspec.compiler.eager.render_eager`."""
        size = (x.shape[-2], x.shape[-1])
        if (view.name, size) not in self._schedules:
            stages = one_by_one(view)
            stages = merge_runs(stages, size) if self._merge else stages
            self._schedules[view.name, size] = join_colours(drop_idle(stages, size))
        for stage in self._schedules[view.name, size]:
            own = [own_params(step, params) for step in stage.steps]
            if stage.kind == "chain":
                x = self._run(stage.steps)(x, own)
            else:
                x = run_stage(stage, x, own)
        return x

    def _run(self, steps: tuple[Step, ...]) -> Run:
        """The compiled run of these steps; views with equal ones share it."""
        key = tuple(steps)
        if key not in self._runs:
            ops = [step.op for step in steps]

            def run(x: Tensor, params: Sequence[Mapping[str, Tensor]]) -> Tensor:
                for op, own in zip(ops, params, strict=True):
                    x = op.apply(x, own)
                return x

            # sizes are symbols from the start, so that a smaller last batch compiles nothing anew
            compiled: Any = torch.compile(run, dynamic=True, fullgraph=True)
            self._runs[key] = compiled
        return self._runs[key]
