"""Renders with Triton kernels, on CUDA; without gradients.

There is a kernel for a crop or resize with the windows and flips into its result, one for a blur,
and one for a run of colour steps. The last also does what lies at the ends of a view: bytes become
numbers where its colours come first, and in the end the view is normalised, in its dtype and memory
format. Everything else runs as the reference does.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from augspec.compiler.eager import Params, joined_params, run_stage, unit_range
from augspec.compiler.output import Output
from augspec.compiler.plan import Plan, Step
from augspec.compiler.program import Own, Resampled
from augspec.compiler.schedule import (
    Pass,
    Scheduled,
    Stage,
    Stages,
    drop_idle,
    fold_windows,
    hoist_flips,
    join_colours,
    unpack_groups,
)
from augspec.kernels.opcodes import ARGUMENTS
from augspec.kernels.ragged import Ragged
from augspec.kernels.taps import Taps, window_taps
from augspec.ops.color_jitter import ColorJitter
from augspec.ops.contract import Op, Size
from augspec.ops.gaussian_blur import GaussianBlur
from augspec.ops.lowering import Steps, several_steps


def end_in_chain(stages: Stages, size: Size | None = None) -> Stages:
    """Makes the last stage a chain, if need be one of no steps: the kernel for it normalises."""
    if stages and stages[-1].kind == "chain":
        return stages
    return (*stages, Stage("chain", ()))


COLOURS: tuple[Pass, ...] = (unpack_groups, drop_idle, hoist_flips, join_colours, end_in_chain)
"""What makes the schedule out of the plain plan, in this order, if colours alone have kernels."""
PASSES: tuple[Pass, ...] = (
    unpack_groups,
    drop_idle,
    hoist_flips,
    fold_windows,
    join_colours,
    end_in_chain,
)
"""Likewise, with all kernels."""

DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)
"""What the images may be."""


class TritonRenderer(Scheduled):
    """Renders on CUDA with Triton kernels, and with plain ops where a step has none.

    Args:
        plan: whose views are rendered.
        geometry: whether crops, flips and blurs have kernels too, and not colours alone.
    """

    def __init__(self, plan: Plan, *, geometry: bool = True) -> None:
        super().__init__(plan, PASSES if geometry else COLOURS)
        self.geometry = geometry

    def render(self, images: Tensor, params: Params, output: Output) -> dict[str, Tensor]:
        """Renders the views.

        Args:
            images: `(B, C, H, W)`, one of `DTYPES`, floating point in [0, 1], that `refuses` does
                not refuse.
            params: parameters by view and `op.parameter`.
            output: what the views are made as.

        Returns:
            Views `(B, C, h, w)` by name.

        Raises:
            KeyError: an unknown view, or a parameter is missing.
        """
        found: dict[str, Tensor] = {}
        size = (images.shape[-2], images.shape[-1])
        for views in self.batches(tuple(params), size):
            names = [view.name for view in views]
            stages = self.stages(views[0], size)
            rendered = self._run(stages, images, [params[name] for name in names], output)
            found.update(zip(names, rendered.tensor_split(len(views)), strict=True))
        return {name: found[name] for name in params}

    def _run(self, stages: Stages, images: Tensor, params: Sequence[Own], output: Output) -> Tensor:
        """Renders views with these stages, one after the other as one batch."""
        x = images
        for number, stage in enumerate(stages):
            given = [joined_params(step, params) for step in stage.steps]
            if stage.kind == "resample":
                x = _resampled(stage.steps, x, given, len(params) if number == 0 else 1)
            elif stage.kind == "chain":
                x = _coloured(stage.steps, x, given, output if stage is stages[-1] else Output())
            elif self.geometry and stage.kind == "step" and isinstance(stage.op, GaussianBlur):
                x = _blurred(stage.op, x, given[0])
            else:
                x = run_stage(stage, unit_range(x), given)
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
    if device.type == "cuda" and (lack := lacking(device)):
        return lack
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


@lru_cache
def lacking(device: torch.device) -> str | None:
    """What keeps Triton from compiling for a GPU, in words that follow its name; None if nothing.

    Args:
        device: the GPU.
    """
    if torch.version.hip is None:
        major, minor = torch.cuda.get_device_capability(device)
        if major < 7:  # Triton compiles for Volta and what came after
            return (
                f"needs a GPU of compute capability 7.0 or more, and {device} has {major}.{minor}"
            )
    if not (os.environ.get("CC") or shutil.which("clang") or shutil.which("gcc")):
        return "needs a C compiler: set CC, or install gcc or clang"
    return None


def _interpreted() -> bool:
    """Whether the kernels are for CPU tensors, as Triton's interpreter runs them."""
    from augspec.kernels.triton_chain import INTERPRETED

    return INTERPRETED


def _resampled(steps: Sequence[Step], x: Tensor, params: Sequence[Own], views: int) -> Tensor:
    """Runs a filter and the windows into its result, for as many views of each image."""
    from augspec.kernels.triton_resample import resample  # triton is not everywhere

    size, count = (x.shape[-2], x.shape[-1]), views * len(x)
    move = Resampled.of(steps, params, size, count, x.device)
    source = torch.arange(len(x), dtype=torch.int32, device=x.device).repeat(views)
    return resample(x, *_taps(move, size), source)


def _taps(move: Resampled, size: Size) -> tuple[Taps, Taps]:
    """What the rows and the columns of a result are made of."""
    assert isinstance(move.target, tuple), "images of one size are resampled to one size"
    rows, columns = zip(size, move.target, move.shape, strict=True)
    # for each axis `(2, N)`
    parts = [move.box[:, 0::2].mT, move.box[:, 1::2].mT, move.window.mT, move.flips.mT]
    if rows == columns:  # both at once, in half as many launches
        return _line_taps(move, rows, [part.reshape(-1) for part in parts]).halves()
    return (
        _line_taps(move, rows, [part[0] for part in parts]),
        _line_taps(move, columns, [part[1] for part in parts]),
    )


def _line_taps(move: Resampled, sides: tuple[int, int, int], parts: Sequence[Tensor]) -> Taps:
    low, high, window, flips = parts
    side, target, shown = sides
    return window_taps(move.how, move.antialias, low, high, side, target, window, flips, shown)


def _blurred(op: GaussianBlur, x: Tensor, params: Own) -> Tensor:
    """Runs a blur."""
    from augspec.kernels.triton_blur import blur

    return blur(x, params["sigma"] * min(x.shape[-2], x.shape[-1]), op.kernel)


def _coloured(steps: Sequence[Step], x: Tensor, params: Sequence[Own], output: Output) -> Tensor:
    """Runs a chain of colour steps."""
    from augspec.kernels.triton_chain import run_chain

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
