"""Renders views with the fused kernels, by the stages of each view's schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from augspec.compiler.eager import Params, joined_params, run_stage, unit_range
from augspec.compiler.fused import run_fused
from augspec.compiler.output import Output
from augspec.compiler.plan import Plan, ViewPlan
from augspec.compiler.ragged import render_ragged
from augspec.compiler.schedule import PASSES, Scheduled
from augspec.kernels.ragged import Ragged
from augspec.ops.contract import Incoming, Size


class FusedRenderer(Scheduled):
    """Renders on a CPU with the fused kernels, and with plain ops where a step has none.

    Args:
        plan: whose views are rendered.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, PASSES)

    def render(self, images: Tensor | Ragged, params: Params, output: Output) -> dict[str, Tensor]:
        """Renders the views; those with equal ops as one batch.

        Args:
            images: `(B, C, H, W)` or ragged.
            params: parameters by view and `op.parameter`.
            output: what the views are made as.
        """
        size = None
        if isinstance(images, Tensor):
            size = (images.shape[-2], images.shape[-1])
            images = images if images.dtype == torch.uint8 else images.float()
        elif images.pixels.dtype != torch.uint8:
            images = replace(images, pixels=images.pixels.float())
        found: dict[str, Tensor] = {}
        for views in self.batches(tuple(params), size):
            names = [view.name for view in views]
            if isinstance(images, Ragged) and not self._brings_one_size(views[0]):
                for view in views:
                    x = render_ragged(view, images, params[view.name])
                    found[view.name] = output.finish(x)
                continue
            rendered = self._together(views, images, [params[name] for name in names], size, output)
            parts = rendered.unflatten(0, (len(names), len(images))).unbind(0)
            found.update(zip(names, parts, strict=True))
        return {name: found[name] for name in params}

    def _brings_one_size(self, view: ViewPlan) -> bool:
        """Whether the view's first resample makes images of one size out of those of any."""
        resamples, incoming = self.stages(view, None)[0].resamples, Incoming(None)
        for step in resamples[0].steps if resamples else ():
            incoming = step.op.outgoing(incoming)
        return incoming.size is not None

    def _together(
        self,
        views: Sequence[ViewPlan],
        images: Tensor | Ragged,
        params: Sequence[Mapping[str, Tensor]],
        size: Size | None,
        output: Output,
    ) -> Tensor:
        """Renders views with equal ops, `(V * B, C, h, w)`."""
        stages, count = self.stages(views[0], size), len(views) * len(images)
        source = torch.arange(len(images)).repeat(len(views))
        x: Tensor | Ragged = images
        for stage in stages:
            given = [joined_params(step, params) for step in stage.steps]
            if stage.kind == "fused":
                last = stage is stages[-1]
                x = run_fused(stage, x, given, source, output if last else Output())
            else:
                assert isinstance(x, Tensor)
                x = run_stage(stage, unit_range(x), given)
            source = torch.arange(count)
        assert isinstance(x, Tensor)
        return x if stages[-1].kind == "fused" else output.finish(x)
