"""Crops, resizes, windows and flips as one Triton kernel, on CUDA.

Each program makes a tile of one sample's result in registers, in all channels, from the source
pixels where they lie: whatever their type and strides, and whichever image the sample is a view of.
What rows and columns are made of are `augspec.kernels.taps`; a row of taps that weighs nothing in a
sample is not read.

Importing this module imports triton; see `augspec.kernels.triton_chain`.
"""

# mypy: allow-untyped-defs
# Triton infers the types of what it compiles, and reads annotations as its own

from __future__ import annotations

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from augspec.kernels.taps import Taps

TILE = (8, 32)
"""Rows and columns that a program makes; powers of 2."""
WARPS = 8
"""A thread for each pixel: the 32 of a warp then read along one row of the source. Of several to a
thread, Triton makes neighbours, for the sake of the store, and spreads each load over four rows."""
UNROLLED = 16
"""How many taps of a row are read in one go at most."""
# these may be halves, whose addresses must not look different to the compiler
_ANYWHERE = ["row_starts", "row_weights", "row_counts"]
_ANYWHERE += ["column_starts", "column_weights", "column_counts"]


@triton.jit
def _inside(place, side):
    return tl.minimum(tl.maximum(place, 0), side - 1)


@triton.jit
def _store(there, value, inside, BYTES: tl.constexpr):
    if BYTES:
        # after the sums, where it is done once for each pixel; exact where one pixel is copied
        value = tl.math.div_rn(value, 255.0)
    tl.store(there, value, mask=inside)


@triton.jit(do_not_specialize_on_alignment=_ANYWHERE)
def _resample(
    image,
    source,
    row_starts,
    row_weights,
    row_counts,
    column_starts,
    column_weights,
    out,
    strides,
    height,
    width,
    out_height,
    out_width,
    CHANNELS: tl.constexpr,
    ROW_TAPS: tl.constexpr,
    COLUMN_TAPS: tl.constexpr,
    UNROLL: tl.constexpr,
    TILE_HEIGHT: tl.constexpr,
    TILE_WIDTH: tl.constexpr,
):
    """One tile of one sample.

    Args:
        image: B images.
        source: `(N,)` int32, the image of which each sample is a view.
        row_starts: `(N, out_height)` int32, see `Taps`.
        row_weights: `(N, ROW_TAPS, out_height)` float32.
        row_counts: `(N,)` int32.
        column_starts: `(N, out_width)` int32.
        column_weights: `(N, COLUMN_TAPS, out_width)` float32.
        out: `(N, CHANNELS, out_height, out_width)` float32.
        strides: how far images, channels, rows and columns are apart.
        height: of the images.
        width: of the images.
        out_height: of the result.
        out_width: of the result.
        CHANNELS: 1 or 3.
        ROW_TAPS: rows that one of the result is made of, at most.
        COLUMN_TAPS: likewise.
        UNROLL: how many taps of a row are read in one go.
        TILE_HEIGHT: rows of a tile.
        TILE_WIDTH: columns of a tile.
    """
    tiles_across = tl.cdiv(out_width, TILE_WIDTH)
    tiles = tiles_across * tl.cdiv(out_height, TILE_HEIGHT)
    sample = (tl.program_id(0) // tiles).to(tl.int64)  # there may be more than 2^31 pixels
    tile = tl.program_id(0) % tiles
    y = tile // tiles_across * TILE_HEIGHT + tl.arange(0, TILE_HEIGHT)
    x = tile % tiles_across * TILE_WIDTH + tl.arange(0, TILE_WIDTH)
    in_rows, in_columns = y < out_height, x < out_width
    first_row = tl.load(row_starts + sample * out_height + y, mask=in_rows, other=0)
    first_column = tl.load(column_starts + sample * out_width + x, mask=in_columns, other=0)
    row_weights += sample * ROW_TAPS * out_height
    column_weights += sample * COLUMN_TAPS * out_width
    here = image + tl.load(source + sample).to(tl.int64) * strides[0]

    r = tl.zeros([TILE_HEIGHT, TILE_WIDTH], dtype=tl.float32)
    g, b = r, r
    for k in range(tl.load(row_counts + sample)):
        # taps outside the image weigh nothing, and any pixel will do for them
        line = here + (_inside(first_row + k, height) * strides[2])[:, None]
        row_r = tl.zeros([TILE_HEIGHT, TILE_WIDTH], dtype=tl.float32)
        row_g, row_b = row_r, row_r
        for j in tl.range(COLUMN_TAPS, loop_unroll_factor=UNROLL):
            weight = tl.load(column_weights + j * out_width + x, mask=in_columns, other=0.0)
            weight = weight[None, :]
            at = line + (_inside(first_column + j, width) * strides[3])[None, :]
            row_r += weight * tl.load(at).to(tl.float32)
            if CHANNELS == 3:
                at += strides[1]
                row_g += weight * tl.load(at).to(tl.float32)
                at += strides[1]
                row_b += weight * tl.load(at).to(tl.float32)
        weight = tl.load(row_weights + k * out_height + y, mask=in_rows, other=0.0)[:, None]
        r += weight * row_r
        if CHANNELS == 3:
            g += weight * row_g
            b += weight * row_b

    BYTES: tl.constexpr = image.dtype.element_ty == tl.uint8
    pixels = out_height * out_width
    there = out + sample * CHANNELS * pixels + y[:, None] * out_width + x[None, :]
    inside = in_rows[:, None] & in_columns[None, :]
    _store(there, r, inside, BYTES)
    if CHANNELS == 3:
        _store(there + pixels, g, inside, BYTES)
        _store(there + 2 * pixels, b, inside, BYTES)


def resample(x: Tensor, rows: Taps, columns: Taps, source: Tensor | None = None) -> Tensor:
    """Resamples N samples; the host never waits, and another B or N compiles nothing anew.

    Args:
        x: `(B, C, H, W)` with C of 1 or 3 and any strides, uint8, or floating point of up to 32
            bits.
        rows: what each of h rows is made of, for N samples.
        columns: what each of w columns is made of.
        source: `(N,)` int32, the image of which each sample is a view; if None, each is one of
            its own.

    Returns:
        `(N, C, h, w)` float32; bytes are fractions of 255. A pixel that is one of the source's has
        its very bits.

    Raises:
        ValueError: another number of channels.
    """
    batch, channels, height, width = x.shape
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got {channels}")
    count, out_height = rows.starts.shape
    out_width = columns.starts.shape[1]
    out = torch.empty((count, channels, out_height, out_width), device=x.device)
    if out.numel() == 0:
        return out
    if source is None:
        source = torch.arange(count, dtype=torch.int32, device=x.device)
    # the stride of a batch of one is arbitrary, and must not look different to the compiler
    strides = (x.stride(0) if batch > 1 else channels * height * width, *x.stride()[1:])
    tiles = triton.cdiv(out_height, TILE[0]) * triton.cdiv(out_width, TILE[1])
    taps = columns.weights.shape[1]
    with torch.cuda.device_of(x):
        _resample[(count * tiles,)](
            x.detach(),
            source,
            rows.starts,
            rows.weights,
            rows.counts,
            columns.starts,
            columns.weights,
            out,
            strides,
            height,
            width,
            out_height,
            out_width,
            CHANNELS=channels,
            ROW_TAPS=rows.weights.shape[1],
            COLUMN_TAPS=taps,
            UNROLL=min(taps, UNROLLED),
            TILE_HEIGHT=TILE[0],
            TILE_WIDTH=TILE[1],
            num_warps=WARPS,
            enable_fp_fusion=False,  # rounded as on a CPU
        )
    return out
