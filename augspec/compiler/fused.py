"""Runs a fused stage on a CPU: torch tensors in and out, numba's kernels in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from augspec.compiler.output import Output
from augspec.compiler.program import make_program
from augspec.compiler.schedule import Stage
from augspec.kernels.memory import empty
from augspec.kernels.ragged import Ragged
from augspec.native.machine import render
from augspec.native.run import in_threads


def run_fused(
    stage: Stage,
    images: Tensor | Ragged,
    params: Sequence[Mapping[str, Tensor]],
    source: Tensor,
    output: Output,
) -> Tensor:
    """Renders N samples.

    Args:
        stage: a fused stage.
        images: `(B, C, H, W)` or ragged, on the CPU, uint8 or float32 in [0, 1]. Those of
            different sizes are of one after the stage's resamples.
        params: for each step of the stage, its parameters, `(N,)` each.
        source: `(N,)` int64, the image of which each sample is a view.
        output: what the result is made as.

    Returns:
        `(N, C, h, w)`.
    """
    given = _Images.of(images)
    sizes = given.common or torch.from_numpy(given.sizes)[source]
    program = make_program(stage, params, sizes, len(source))
    channels, (height, width) = given.channels, program.shapes[-1]
    small = output.dtype == torch.bfloat16
    dtype = torch.bfloat16 if small else torch.float32
    count = len(source) * channels * height * width
    flat = empty(count * dtype.itemsize).view(dtype)
    if output.memory_format == torch.channels_last:
        views = flat.view(len(source), height, width, channels).permute(0, 3, 1, 2)
        steps = (1, width * channels, channels)
    else:
        views = flat.view(len(source), channels, height, width)
        steps = (height * width, width, 1)
    target = flat.view(torch.int16).numpy().view(np.uint16) if small else flat.numpy()
    arrays = (
        given.pixels,
        source.numpy(),
        given.offsets,
        given.sizes,
        given.strides,
        given.pixels.dtype == np.uint8,
        channels,
        *(
            array.contiguous().numpy()
            for array in (
                program.hows, program.boxes, program.targets, program.windows, program.flips
            )
        ),
        np.array(program.shapes, dtype=np.int64),
        program.codes.contiguous().numpy(),
        program.arguments.contiguous().numpy(),
        _for_each_channel(0.0 if output.mean is None else output.mean, channels),
        _for_each_channel(1.0 if output.mean is None else output.std, channels),
        target,
        np.array(steps, dtype=np.int64),
    )  # fmt: skip
    in_threads(lambda begin, end: render(begin, end, *arrays), len(source), torch.get_num_threads())
    return views if small else views.to(output.dtype)


def _for_each_channel(values: float | Sequence[float], channels: int) -> np.ndarray:
    """One number for all channels, or one for each, as `(C,)` float32."""
    return np.broadcast_to(np.array(values, dtype=np.float32), (channels,)).copy()


@dataclass(frozen=True)
class _Images:
    """The images as the kernels read them; see `augspec.native.machine.render`."""

    pixels: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    strides: np.ndarray
    channels: int
    common: tuple[int, int] | None

    @classmethod
    def of(cls, images: Tensor | Ragged) -> _Images:
        if isinstance(images, Ragged):
            return cls._of_ragged(images)
        batch, channels, height, width = images.shape
        last = images.is_contiguous(memory_format=torch.channels_last)
        if last and not images.is_contiguous():
            flat, steps = images.permute(0, 2, 3, 1), (1, width * channels, channels)
        else:
            flat, steps = images.contiguous(), (height * width, width, 1)
        return cls(
            pixels=flat.reshape(-1).numpy(),
            offsets=np.arange(batch) * (channels * height * width),
            sizes=np.tile(np.array([height, width], dtype=np.int64), (batch, 1)),
            strides=np.tile(np.array(steps, dtype=np.int64), (batch, 1)),
            channels=channels,
            common=(height, width),
        )

    @classmethod
    def _of_ragged(cls, images: Ragged) -> _Images:
        sizes, channels = images.sizes.numpy(), images.channels
        one, width = np.ones(len(sizes), dtype=np.int64), sizes[:, 1]
        if images.interleaved:
            strides = np.stack([one, width * channels, one * channels], axis=1)
        else:
            strides = np.stack([sizes[:, 0] * width, width, one], axis=1)
        return cls(
            pixels=images.pixels.numpy(),
            offsets=images.offsets.numpy(),
            sizes=sizes,
            strides=strides,
            channels=channels,
            common=None,
        )
