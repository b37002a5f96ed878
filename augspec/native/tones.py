"""Colour steps in place, on a piece of an image that fits into the first cache.

They are `augspec.kernels.colour`, step by step, for one sample. `r`, `g` and `b` are the channels
of the piece, `(n,)` float32 each; an image with one channel has it three times.
"""

from __future__ import annotations

import numpy as np

from augspec.kernels.jit import inlined, kernel

_0, _1, _2, _3, _4, _6 = (np.float32(n) for n in (0, 1, 2, 3, 4, 6))
_SIXTH = np.float32(1 / 6)
_TINY = np.float32(1e-20)
_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)
_ROUNDER = np.float32(1.5 * 2**23)  # added and taken away again, it rounds to a whole number


@inlined
def _clamped(value):
    return min(max(value, _0), _1)


@inlined
def luma(r, g, b):
    """The luma of a pixel."""
    return r * _RED + g * _GREEN + b * _BLUE


@kernel
def scaled(x, factor):
    """Brightness, on one channel."""
    for i in range(x.shape[0]):
        x[i] = _clamped(x[i] * factor)


@kernel
def blended(x, factor, rest):
    """Contrast, on one channel: `rest` is the mean luma times 1 - factor."""
    for i in range(x.shape[0]):
        x[i] = _clamped(rest + x[i] * factor)


@kernel
def saturated(r, g, b, factor):
    """Saturation."""
    other = _1 - factor
    for i in range(r.shape[0]):
        rest = luma(r[i], g[i], b[i]) * other
        r[i] = _clamped(rest + r[i] * factor)
        g[i] = _clamped(rest + g[i] * factor)
        b[i] = _clamped(rest + b[i] * factor)


@inlined
def _channel(value, chroma, offset):
    distance = abs(offset - _6 * ((offset * _SIXTH + _ROUNDER) - _ROUNDER))
    weight = _clamped(_2 - distance)
    rotated = _clamped(value - chroma * weight)
    return rotated if weight > _0 else value


@kernel
def hue_rotated(r, g, b, turns):
    """Hue, in closed form: see `augspec.kernels.colour.hue`."""
    shift = turns * _6
    for i in range(r.shape[0]):
        red, green, blue = r[i], g[i], b[i]
        value = max(max(red, green), blue)
        chroma = value - min(min(red, green), blue)
        slope = _1 / max(chroma, _TINY)
        turn = (red - green) * slope + _4
        turn = (blue - red) * slope + _2 if value == green else turn
        turn = (green - blue) * slope if value == red else turn
        turn += shift
        r[i] = _channel(value, chroma, turn + _3)
        g[i] = _channel(value, chroma, turn + _1)
        b[i] = _channel(value, chroma, turn - _1)


@kernel
def grayed(r, g, b):
    """Grayscale."""
    for i in range(r.shape[0]):
        gray = luma(r[i], g[i], b[i])
        r[i] = gray
        g[i] = gray
        b[i] = gray


@kernel
def solarized(x, threshold):
    """Solarize, on one channel."""
    for i in range(x.shape[0]):
        x[i] = _1 - x[i] if x[i] >= threshold else x[i]


@kernel
def inverted(x):
    """Invert, on one channel."""
    for i in range(x.shape[0]):
        x[i] = _1 - x[i]


@kernel
def total_luma(r, g, b, lanes):
    """The sum of the luma, float64; of the values, where there is one channel.

    Args:
        r: red.
        g: green.
        b: blue.
        lanes: 16 float32 to work with: partial sums that processors add side by side.
    """
    lanes[:] = _0
    whole = r.shape[0] // 16
    for block in range(whole):
        at = block * 16
        for lane in range(16):
            lanes[lane] += luma(r[at + lane], g[at + lane], b[at + lane])
    for i in range(whole * 16, r.shape[0]):
        lanes[0] += luma(r[i], g[i], b[i])
    found = 0.0
    for lane in range(16):
        found += lanes[lane]
    return found


@kernel
def total(x, lanes):
    """The sum of one channel, float64; `lanes` as in `total_luma`."""
    lanes[:] = _0
    whole = x.shape[0] // 16
    for block in range(whole):
        at = block * 16
        for lane in range(16):
            lanes[lane] += x[at + lane]
    for i in range(whole * 16, x.shape[0]):
        lanes[0] += x[i]
    found = 0.0
    for lane in range(16):
        found += lanes[lane]
    return found
