"""Renders samples: each through its resamples and its chain, in scratch memory of the caches' size.

Memory beyond the views themselves is that scratch memory, one for each thread.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from augspec.kernels import jit, opcodes
from augspec.kernels.jit import digest, entry
from augspec.native.chain import chained
from augspec.native.resample import resampled


def _entry(version):
    # numba's cache on disk is keyed by what this closure holds, see `augspec.kernels.jit`
    def render(
        begin, end, images, source, offsets, sizes, strides, scale, channels,
        hows, boxes, targets, windows, flips, shapes, codes, arguments, mean, std, out, out_strides,
    ):  # fmt: skip
        if version == 0:
            return
        widest, most, rows_needed = 0, 0, 0
        for i in range(begin, end):
            height, width = sizes[source[i], 0], sizes[source[i], 1]
            for stage in range(shapes.shape[0]):
                widest = max(widest, width)
                rows_needed = max(rows_needed, height * max(width, shapes[stage, 1]))
                height, width = shapes[stage, 0], shapes[stage, 1]
                most = max(most, height * width)
        row = np.empty(widest, np.float32)
        rows = np.empty(rows_needed, np.float32)
        first = np.empty(channels * most, np.float32)
        second = np.empty(channels * most if shapes.shape[0] > 1 else 0, np.float32)
        height, width = shapes[-1, 0], shapes[-1, 1]
        work = np.empty(height * width + 3 * width, np.float32)
        inner = np.empty(3, np.int64)
        for i in range(begin, end):
            image = source[i]
            own = strides[image]
            h, w = sizes[image, 0], sizes[image, 1]
            resampled(
                images, offsets[image], own, h, w, scale, channels,
                hows[0, 0], hows[0, 1], boxes[i, 0], targets[i, 0], windows[i, 0], flips[i, 0],
                shapes[0, 0], shapes[0, 1], row, rows, first,
            )  # fmt: skip
            for stage in range(1, shapes.shape[0]):
                h, w = shapes[stage - 1, 0], shapes[stage - 1, 1]
                inner[0], inner[1], inner[2] = h * w, w, 1
                resampled(
                    first, 0, inner, h, w, False, channels, hows[stage, 0], hows[stage, 1],
                    boxes[i, stage], targets[i, stage], windows[i, stage], flips[i, stage],
                    shapes[stage, 0], shapes[stage, 1], row, rows, second,
                )  # fmt: skip
                first, second = second, first
            chained(
                first, height, width, channels, codes[i], arguments[i], mean, std,
                out, i * channels * height * width, out_strides, work,
            )  # fmt: skip

    return entry(render)


# what the kernels are made of: their own files, how they are compiled, the numbers of the opcodes
_SOURCES = (*sorted(Path(__file__).parent.glob("*.py")), Path(jit.__file__), Path(opcodes.__file__))

render = _entry(digest(*_SOURCES))
"""Renders the samples from `begin` to `end`.

Args:
    begin: the first sample.
    end: the one after the last.
    images: all images, flat: uint8, or float32 in [0, 1].
    source: `(N,)` int64, the image of which each sample is a view.
    offsets: `(B,)` int64, where each image begins.
    sizes: `(B, 2)` int64, height and width of each image.
    strides: `(B, 3)` int64, how far its channels, rows and columns are apart.
    scale: whether images are bytes.
    channels: C, 1 or 3.
    hows: `(S, 2)` int64, the `Filter` of each resample, and whether it is antialiased.
    boxes: `(N, S, 4)` float64, top, bottom, left and right in pixels of what comes in.
    targets: `(N, S, 2)` int64, height and width to which the box is resampled.
    windows: `(N, S, 2)` int64, the row and column of these at which the result begins.
    flips: `(N, S, 2)` int64, whether rows and columns are mirrored then.
    shapes: `(S, 2)` int64, height and width of each result; S is at least 1.
    codes: `(N, K)` int32, an `Opcode` for each step of the chain.
    arguments: `(N, K, 2)` float32.
    mean: `(C,)` float32, of the normalisation; 0 and a std of 1 for none.
    std: `(C,)` float32.
    out: `(N * C * H * W,)` float32, or uint16 for bfloat16, to write.
    out_strides: `(3,)` int64, how far channels, rows and columns of a result are apart.
"""
