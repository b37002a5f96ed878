"""Renders with one Triton kernel for each run of colour steps, on CUDA; without gradients.

The kernel also does what lies at the ends of a view: bytes become numbers where its colours come
first, and in the end the view is normalised, in its dtype and memory format. Everything else runs
as the reference does.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from augspec.compiler.eager import Params, own_params, unit_range
from augspec.compiler.output import Output
from augspec.compiler.plan import Step, ViewPlan
from augspec.compiler.schedule import (
    Pass,
    Stage,
    Stages,
    drop_idle,
    hoist_flips,
    join_colours,
    one_by_one,
    unpack_groups,
)
from augspec.kernels.opcodes import ARGUMENTS
from augspec.kernels.ragged import Ragged
from augspec.ops.color_jitter import ColorJitter
from augspec.ops.contract import Op, Size
from augspec.ops.lowering import Steps, several_steps

PASSES: tuple[Pass, ...] = (unpack_groups, drop_idle, hoist_flips, join_colours)
"""What makes the schedule of this backend out of the plain plan, in this order."""

DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)
"""What the images may be."""


class TritonRenderer:
    """Renders views one op after the other, but for runs of colour steps."""

    def __init__(self) -> None:
        self._schedules: dict[tuple[str, Size], Stages] = {}

    def stages(self, view: ViewPlan, size: Size) -> Stages:
        """The schedule of a view for images of this size; its last stage is always a chain.

        A view that ends with another op, or has none, ends with a chain of no steps, which
        normalises.
        """
        if (view.name, size) not in self._schedules:
            stages = one_by_one(view)
            for one in PASSES:
                stages = one(stages, size)
            if not stages or stages[-1].kind != "chain":
                stages = (*stages, Stage("chain", ()))
            self._schedules[view.name, size] = stages
        return self._schedules[view.name, size]

    def render(
        self, view: ViewPlan, x: Tensor, params: Mapping[str, Tensor], output: Output
    ) -> Tensor:
        """Renders a view.

        Args:
            view: the view.
            x: `(B, C, H, W)`, one of `DTYPES`, floating point in [0, 1], that `refuses` does not
                refuse.
            params: its parameters by `op.parameter`.
            output: what the view is made as.

        Returns:
            `(B, C, h, w)`.

        Raises:
            KeyError: a parameter is missing.
        """
        stages = self.stages(view, (x.shape[-2], x.shape[-1]))
        for stage in stages:
            own = [own_params(step, params) for step in stage.steps]
            if stage.kind == "step":
                x = stage.steps[0].op.apply(unit_range(x), own[0])
            else:
                x = _run(stage.steps, x, own, output if stage is stages[-1] else Output())
        return x


def refuses(images: Tensor | Ragged, params: Params) -> str | None:
    """Why this backend cannot render these, in words that follow its name; None if it can.

    Args:
        images: the images.
        params: the parameters by view and `op.parameter`.
    """
    if torch.compiler.is_compiling():
        return "is not for use inside torch.compile"
    if isinstance(images, Ragged):
        return "takes images of one size"
    if importlib.util.find_spec("triton") is None:
        return "needs the package triton, which is not installed"
    device = images.device
    if device.type != "cuda" and not _interpreted():
        return f"renders on CUDA GPUs, and the images are on {device}"
    if images.dtype not in DTYPES:
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
        given = str(images.dtype).removeprefix("torch.")
        return f"takes images of {names}, not {given}"
    values = [value for own in params.values() for value in own.values()]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (images, *values)):
        return "gives no gradients, and images or parameters require them"
    for value in values:
        if value.device != device:
            return f"needs parameters where the images are, on {device}, not {value.device}"
    return None


def _interpreted() -> bool:
    """Whether the kernel is for CPU tensors, as Triton's interpreter runs it."""
    from augspec.kernels.triton_chain import INTERPRETED

    return INTERPRETED


def _run(
    steps: Sequence[Step], x: Tensor, params: Sequence[Mapping[str, Tensor]], output: Output
) -> Tensor:
    """Runs a chain of colour steps with the kernel."""
    from augspec.kernels.triton_chain import run_chain  # triton is not everywhere

    size = (x.shape[-2], x.shape[-1])
    lowered = Steps(
        torch.empty(len(x), 0, dtype=torch.int32, device=x.device),
        torch.empty(len(x), 0, ARGUMENTS, device=x.device),
    )
    if steps:
        given = zip(steps, params, strict=True)
        lowered = several_steps([step.op.steps(own, size) for step, own in given])
    return run_chain(
        x.detach(),
        lowered.codes,
        lowered.arguments,
        contrasts=sum(_looks_at_the_mean(step.op) for step in steps),
        mean=output.mean,
        std=output.std,
        dtype=output.dtype,
        memory_format=output.memory_format,
    )


def _looks_at_the_mean(op: Op) -> bool:
    """Whether an op's steps may have a contrast, one for each sample.

    A jitter that draws none may still be given one, in parameters that it did not draw.
    """
    return op.effect.tones == "image" or isinstance(op, ColorJitter)
