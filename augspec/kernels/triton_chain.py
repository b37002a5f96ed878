"""The chain of colour steps as one Triton kernel, on CUDA.

Each program takes a block of one sample's pixels into registers, walks the sample's own opcodes
over it, and writes the result as it is to come out: normalised, in its dtype and memory format. The
steps are those of `augspec.kernels.colour`. An image is read once and written once, but for
contrast, which needs the mean luma of the whole image as the steps before it leave it: where a
block holds the whole image, the program has that at hand; else a launch before sums it, block by
block, and is one more time to read the image. Sums are never added by atomics: the same call gives
the same bits.

Importing this module imports triton. With `TRITON_INTERPRET=1` set before, the kernel runs on CPU
tensors, for tests.
"""

# mypy: allow-untyped-defs
# Triton infers the types of what it compiles, and reads annotations as its own

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from augspec.kernels.opcodes import ARGUMENTS, Opcode

INTERPRETED: bool = triton.knobs.runtime.interpret
"""Whether the kernels below run in Triton's interpreter, which is decided as they are defined."""

WHOLE = 4096
"""The pixels of the largest image that one program takes whole."""
BLOCK = 1024
"""The pixels that a program takes of a larger image; a power of 2."""
PIXELS_PER_WARP = 256
"""8 pixels of 3 channels for each thread: enough loads in flight, and no register spilled."""

_NOTHING = tl.constexpr(int(Opcode.NOTHING))
_BRIGHTNESS = tl.constexpr(int(Opcode.BRIGHTNESS))
_CONTRAST = tl.constexpr(int(Opcode.CONTRAST))
_SATURATION = tl.constexpr(int(Opcode.SATURATION))
_HUE = tl.constexpr(int(Opcode.HUE))
_GRAYSCALE = tl.constexpr(int(Opcode.GRAYSCALE))
_SOLARIZE = tl.constexpr(int(Opcode.SOLARIZE))
_INVERT = tl.constexpr(int(Opcode.INVERT))
_GAIN = tl.constexpr(int(Opcode.GAIN))
_ARGUMENTS = tl.constexpr(ARGUMENTS)


@triton.jit
def _clamped(x):
    return tl.minimum(tl.maximum(x, 0.0), 1.0)


@triton.jit
def _luma(r, g, b, CHANNELS: tl.constexpr):
    gray = r
    if CHANNELS == 3:
        gray = r * 0.2989 + g * 0.587 + b * 0.114
    return gray


@triton.jit
def _hue_channel(value, chroma, offset):
    # as `round` is used in colour.py; where a half is rounded the other way, the distance is 3 too
    distance = tl.abs(offset - 6.0 * tl.floor(offset * (1.0 / 6.0) + 0.5))
    weight = _clamped(2.0 - distance)
    return tl.where(weight > 0.0, _clamped(value - chroma * weight), value)


@triton.jit
def _hue_rotated(r, g, b, turns):
    """Hue in closed form: see `augspec.kernels.colour.hue`."""
    value = tl.maximum(tl.maximum(r, g), b)
    chroma = value - tl.minimum(tl.minimum(r, g), b)
    slope = 1.0 / tl.maximum(chroma, 1e-20)
    green, blue = (b - r) * slope + 2.0, (r - g) * slope + 4.0
    turn = tl.where(value == r, (g - b) * slope, tl.where(value == g, green, blue))
    whole = tl.where(turns < 0.0, tl.ceil(turns), tl.floor(turns))
    turn += 6.0 * (turns - whole)
    red = _hue_channel(value, chroma, turn + 3.0)
    green = _hue_channel(value, chroma, turn + 1.0)
    return red, green, _hue_channel(value, chroma, turn - 1.0)


@triton.jit
def _step(code, first, second, r, g, b, CHANNELS: tl.constexpr):
    """One step that looks at no other pixel."""
    if code == _BRIGHTNESS:
        r, g, b = _clamped(r * first), _clamped(g * first), _clamped(b * first)
    elif code == _SOLARIZE:
        r = tl.where(r >= first, 1.0 - r, r)
        g = tl.where(g >= first, 1.0 - g, g)
        b = tl.where(b >= first, 1.0 - b, b)
    elif code == _INVERT:
        r, g, b = 1.0 - r, 1.0 - g, 1.0 - b
    if CHANNELS == 3:  # the rest is about colours
        if code == _SATURATION:
            rest = _luma(r, g, b, CHANNELS) * (1.0 - first)
            r, g, b = (
                _clamped(rest + r * first),
                _clamped(rest + g * first),
                _clamped(rest + b * first),
            )
        elif code == _HUE:
            r, g, b = _hue_rotated(r, g, b, first)
        elif code == _GRAYSCALE:
            gray = _luma(r, g, b, CHANNELS)
            r, g, b = gray, gray, gray
        elif code == _GAIN:
            # green is clamped too, as by a gain of 1
            r, g, b = _clamped(r * first), _clamped(g), _clamped(b * second)
    return r, g, b


@triton.jit
def _load(image, inside):
    x = tl.load(image, mask=inside, other=0).to(tl.float32)
    if image.dtype.element_ty == tl.uint8:
        # as exact as on a CPU, where thresholds such as 128/255 must find the same pixels
        x = tl.math.div_rn(x, 255.0)
    return x


@triton.jit
def _mean(sums, SLOTS: tl.constexpr, blocks, pixels, known):
    """The mean luma from the sums of all blocks; NaN where nothing has summed it.

    A contrast about NaN clamps to black: no plausible picture comes of a wrong mean.
    """
    slots = tl.arange(0, SLOTS)
    parts = tl.load(sums + slots, mask=slots < tl.where(known, blocks, 0), other=0.0)
    return tl.where(known, tl.sum(parts, axis=0) / pixels, float("nan"))


@triton.jit(do_not_specialize=["steps", "contrasts", "wanted"])
def _chain(
    image,
    codes,
    arguments,
    sums,
    out,
    mean,
    std,
    strides,
    out_strides,
    pixels,
    width,
    steps,
    contrasts,
    wanted,
    CHANNELS: tl.constexpr,
    FLAT: tl.constexpr,
    NORMALISED: tl.constexpr,
    SUMS: tl.constexpr,
    BLOCK: tl.constexpr,
    SLOTS: tl.constexpr,
):
    """One block of one sample.

    Args:
        image: B images.
        codes: `(B, steps)` int32.
        arguments: `(B, steps, 2)` float32.
        sums: `(B, contrasts, blocks)` float32, the sum of the luma in each block as it is before
            the sample's first contrast, its second one ...
        out: B images.
        mean: of the normalisation, three numbers.
        std: likewise.
        strides: how far samples, channels, rows and columns are apart.
        out_strides: how far channels and pixels are apart in the result.
        pixels: height times width.
        width: columns.
        steps: K.
        contrasts: how many contrasts have sums.
        wanted: the contrast whose sums are made, if any are.
        CHANNELS: 1 or 3.
        FLAT: whether a row begins as far from the end of the one before as a column from a column.
        NORMALISED: whether there is a normalisation.
        SUMS: whether sums are made, and not the result.
        BLOCK: pixels of a block.
        SLOTS: the next power of 2 of the blocks of an image.
    """
    blocks = tl.cdiv(pixels, BLOCK)
    sample = (tl.program_id(0) // blocks).to(tl.int64)  # there may be more than 2^31 pixels
    block = tl.program_id(0) % blocks
    codes += sample * steps
    arguments += sample * steps * _ARGUMENTS
    sums += sample * contrasts * blocks
    stop = steps
    if SUMS:
        seen = 0
        for k in range(steps):
            if tl.load(codes + k) == _CONTRAST:
                if seen == wanted:
                    stop = k
                seen += 1
    if not SUMS or stop < steps:  # nothing is summed of a sample with fewer contrasts
        pixel = block * BLOCK + tl.arange(0, BLOCK)
        inside = pixel < pixels
        if FLAT:
            offset = pixel * strides[3]
        else:
            offset = pixel // width * strides[2] + pixel % width * strides[3]
        here = image + sample * strides[0] + offset
        r = _load(here, inside)
        g, b = r, r
        if CHANNELS == 3:
            g = _load(here + strides[1], inside)
            b = _load(here + 2 * strides[1], inside)
        seen = 0
        for k in range(stop):
            code = tl.load(codes + k)
            if code != _NOTHING:
                first = tl.load(arguments + k * _ARGUMENTS)
                if code == _CONTRAST:
                    if SLOTS == 1:
                        luma = tl.where(inside, _luma(r, g, b, CHANNELS), 0.0)
                        average = tl.sum(luma, axis=0) / pixels
                    else:
                        known = seen < contrasts
                        average = _mean(sums + seen * blocks, SLOTS, blocks, pixels, known)
                    seen += 1
                    rest = average * (1.0 - first)
                    r, g, b = (
                        _clamped(rest + r * first),
                        _clamped(rest + g * first),
                        _clamped(rest + b * first),
                    )
                else:
                    second = tl.load(arguments + k * _ARGUMENTS + 1)
                    r, g, b = _step(code, first, second, r, g, b, CHANNELS)
        if SUMS:
            luma = tl.where(inside, _luma(r, g, b, CHANNELS), 0.0)
            tl.store(sums + wanted * blocks + block, tl.sum(luma, axis=0))
        else:
            if NORMALISED:
                r, g, b = (r - mean[0]) / std[0], (g - mean[1]) / std[1], (b - mean[2]) / std[2]
            there = out + sample * pixels * CHANNELS + pixel * out_strides[1]
            tl.store(there, r.to(out.dtype.element_ty), mask=inside)
            if CHANNELS == 3:
                tl.store(there + out_strides[0], g.to(out.dtype.element_ty), mask=inside)
                tl.store(there + 2 * out_strides[0], b.to(out.dtype.element_ty), mask=inside)


def run_chain(
    x: Tensor,
    codes: Tensor,
    arguments: Tensor,
    *,
    contrasts: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] = (1.0,),
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
    block: int | None = None,
) -> Tensor:
    """Runs each sample's chain; the host never waits, and another B compiles nothing anew.

    Args:
        x: `(B, C, H, W)` with C of 1 or 3 and any strides, uint8, or floating point of up to 32
            bits in [0, 1].
        codes: `(B, K)` int32, an `Opcode` each; no blur.
        arguments: `(B, K, 2)` float32.
        contrasts: the most contrasts that a sample's chain may have; one too many leaves nothing
            of the image. Each costs a launch, where images are larger than a block.
        mean: of the normalisation, a number for each channel or one for all; None for none.
        std: likewise.
        dtype: of the result, floating point.
        memory_format: of the result, `torch.contiguous_format` or `torch.channels_last`.
        block: pixels of a block, a power of 2; chosen by the size of the images if None.

    Returns:
        `(B, C, H, W)`.

    Raises:
        ValueError: another number of channels.
    """
    batch, channels, height, width = x.shape
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got {channels}")
    pixels = height * width
    out = torch.empty(x.shape, dtype=dtype, device=x.device, memory_format=memory_format)
    if out.numel() == 0:
        return out
    block = block or (BLOCK if pixels > WHOLE else triton.next_power_of_2(pixels))
    blocks = triton.cdiv(pixels, block)
    sums = torch.empty((batch, contrasts, blocks), dtype=torch.float32, device=x.device)
    # the stride of a batch of one is arbitrary, and must not look different to the compiler
    strides = (x.stride(0) if batch > 1 else channels * pixels, *x.stride()[1:])
    launches = range(contrasts if blocks > 1 else 0)
    with torch.cuda.device_of(x):
        for wanted in (*launches, None):
            _chain[(batch * blocks,)](
                x,
                codes.contiguous(),
                arguments.contiguous(),
                sums,
                out,
                _three((0.0,) if mean is None else mean),
                _three(std),
                strides,
                (out.stride(1), out.stride(3)),
                pixels,
                width,
                codes.shape[1],
                contrasts,
                wanted or 0,
                CHANNELS=channels,
                FLAT=height == 1 or x.stride(2) == width * x.stride(3),
                NORMALISED=mean is not None,
                SUMS=wanted is not None,
                BLOCK=block,
                SLOTS=triton.next_power_of_2(blocks),
                num_warps=max(1, min(block // PIXELS_PER_WARP, 16)),
                enable_fp_fusion=False,  # rounded as on a CPU
            )
    return out


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    """A number for each channel, of three or of one for all."""
    first, *rest = (float(value) for value in values)
    return (first, rest[0], rest[1]) if rest else (first, first, first)
