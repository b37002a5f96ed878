"""Gaussian blur as two launches of one Triton kernel, on CUDA: along rows, then along columns.

Each sample has its own sigma, and reads only as many pixels around each as weigh anything; one that
is not blurred is copied, and only once.

Importing this module imports triton; see `augspec.kernels.triton_chain`.
"""

# mypy: allow-untyped-defs
# Triton infers the types of what it compiles, and reads annotations as its own

from __future__ import annotations

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from augspec.kernels.blur import check_reach, gaussian_weights

BLOCK = 256
"""Pixels of one channel that a program makes; a power of 2."""
WARPS = 8
"""A thread for each pixel: the 32 of a warp then read pixels that lie side by side."""
_NOTHING = 1e-11
"""Weights below this change no float32 in [0, 1]."""


@triton.jit
def _unit(x, BYTES: tl.constexpr):
    if BYTES:
        x = tl.math.div_rn(x, 255.0)  # exact, as on a CPU
    return x


@triton.jit
def _convolved(line, place, side, step, weights, reach):
    """Sums of the pixels around `place` in their lines, the edges mirrored.

    Args:
        line: where the line of each pixel begins.
        place: where in its line each pixel is.
        side: pixels of a line.
        step: how far these are apart.
        weights: one half of the kernel, the middle first.
        reach: how many of its weights beyond the middle count; less than `side`.
    """
    total = tl.load(weights) * tl.load(line + place * step).to(tl.float32)
    for k in tl.range(1, reach + 1, loop_unroll_factor=4):
        before = tl.abs(place - k)
        after = place + k
        after = tl.where(after < side, after, 2 * (side - 1) - after)
        both = tl.load(line + before * step).to(tl.float32)
        both += tl.load(line + after * step).to(tl.float32)
        total += tl.load(weights + k) * both
    return total


@triton.jit(do_not_specialize=["half", "channels"])
def _blur(
    image,
    middle,
    out,
    weights,
    reaches,
    strides,
    half,
    channels,
    height,
    width,
    DOWN: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One block of one channel.

    Args:
        image: N images.
        middle: `(N, channels, height, width)` float32, blurred along rows; to write, or if `DOWN`,
            to read.
        out: likewise, to write if `DOWN`.
        weights: `(N, half)` float32, one half of each kernel, the middle first.
        reaches: `(N,)` int32, how many weights beyond the middle count; negative for no blur.
        strides: how far images, channels, rows and columns are apart.
        half: weights of a half.
        channels: C.
        height: rows.
        width: columns.
        DOWN: whether this is the second pass, along columns.
        BLOCK: pixels of a block.
    """
    BYTES: tl.constexpr = image.dtype.element_ty == tl.uint8
    pixels = height * width
    blocks = tl.cdiv(pixels, BLOCK)
    plane = (tl.program_id(0) // blocks).to(tl.int64)  # there may be more than 2^31 pixels
    sample, channel = plane // channels, plane % channels
    pixel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    safe = tl.minimum(pixel, pixels - 1)
    y, x = safe // width, safe % width
    reach = tl.load(reaches + sample)
    weights += sample * half
    here = image + sample * strides[0] + channel * strides[1]
    if DOWN:
        if reach >= 0:
            line = middle + plane * pixels + x
            tl.store(
                out + plane * pixels + pixel,
                _convolved(line, y, height, width, weights, reach),
                mask=inside,
            )
        else:
            as_it_is = tl.load(here + y * strides[2] + x * strides[3]).to(tl.float32)
            tl.store(out + plane * pixels + pixel, _unit(as_it_is, BYTES), mask=inside)
    elif reach >= 0:
        total = _convolved(here + y * strides[2], x, width, strides[3], weights, reach)
        tl.store(middle + plane * pixels + pixel, _unit(total, BYTES), mask=inside)


def blur(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Blurs each sample; the host never waits, and another B or kernel compiles nothing anew.

    Args:
        x: `(B, C, H, W)` with any strides, uint8, or floating point of up to 32 bits.
        sigma: `(B,)` standard deviations in pixels; a sample whose sigma is 0 stays bit-equal.
        kernel: side of the square kernel in pixels, odd.

    Returns:
        `(B, C, H, W)` float32, contiguous; bytes are fractions of 255.

    Raises:
        ValueError: the kernel is even, or too large for reflect padding of this image.
    """
    batch, channels, height, width = x.shape
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"blur kernel is {kernel} pixels; allowed: odd numbers from 1")
    check_reach((height, width), kernel)
    out = torch.empty(x.shape, dtype=torch.float32, device=x.device)
    if out.numel() == 0:
        return out
    weights = gaussian_weights(sigma, kernel)[:, kernel // 2 :]
    reaches = torch.where(sigma > 0, (weights > _NOTHING).sum(dim=1) - 1, -1)
    strides = (x.stride(0) if batch > 1 else channels * height * width, *x.stride()[1:])
    middle = torch.empty_like(out)
    grid = (batch * channels * triton.cdiv(height * width, BLOCK),)
    with torch.cuda.device_of(x):
        for down in (False, True):
            _blur[grid](
                x.detach(),
                middle,
                out,
                weights.float().contiguous(),
                reaches.int(),
                strides,
                kernel // 2 + 1,
                channels,
                height,
                width,
                DOWN=down,
                BLOCK=BLOCK,
                num_warps=WARPS,
                enable_fp_fusion=False,  # rounded as on a CPU
            )
    return out
