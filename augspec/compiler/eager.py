"""The reference: one op after the other, on the whole batch, differentiable on any device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from augspec.compiler.merge import render_merged, render_run
from augspec.compiler.plan import Step, ViewPlan
from augspec.compiler.schedule import Stage

Params: TypeAlias = Mapping[str, Mapping[str, Tensor]]


def joined_params(step: Step, params: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The parameters of a step in several views, one view after the other."""
    own = [step.own(one) for one in params]
    if len(own) == 1:
        return own[0]
    return {name: torch.cat([one[name] for one in own]) for name in step.parameters}


def unit_range(images: Tensor) -> Tensor:
    """Images as float32 (or float64, if they are) in [0, 1].

    Raises:
        ValueError: images of another type.
    """
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise ValueError(f"images must be uint8 or floating point, got {images.dtype}")
    return images if images.dtype == torch.float64 else images.float()


def run_stage(stage: Stage, x: Tensor, params: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """Runs a step by itself, or merged steps, on a batch.

    Args:
        stage: the stage, of kind `step` or `merged`.
        x: `(B, C, H, W)`, floating point in [0, 1].
        params: for each of its steps, the parameters by their own names.
    """
    if stage.run is None:
        return stage.op.apply(x, params[0])
    keyed = {
        step.key(name): value
        for step, own in zip(stage.steps, params, strict=True)
        for name, value in own.items()
    }
    return render_run(stage.run, x, keyed)


def render_eager(
    view: ViewPlan, x: Tensor, params: Mapping[str, Tensor], *, merge: bool = False
) -> Tensor:
    """The reference: one op after the other, on the whole batch; differentiable.

    Args:
        view: the view.
        x: `(B, C, H, W)`, floating point in [0, 1].
        params: its parameters by `op.parameter`.
        merge: whether geometric ops in a row are one resample.
    """
    if merge:
        return render_merged(view.steps, x, params)
    for step in view.steps:
        x = step.op.apply(x, step.own(params))
    return x
