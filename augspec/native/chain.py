"""The chain of colour steps and blurs of one sample, and what is written in the end."""

from __future__ import annotations

import numpy as np

from augspec.kernels.jit import kernel
from augspec.kernels.opcodes import Opcode
from augspec.native.filters import blurred, gaussian
from augspec.native.tones import (
    blended,
    grayed,
    hue_rotated,
    inverted,
    saturated,
    scaled,
    solarized,
    total,
    total_luma,
)

PIECE = 2048
"""Pixels that all steps are done on before the next: three channels of them fill half of a
processor's first cache."""


NOTHING, BRIGHTNESS = int(Opcode.NOTHING), int(Opcode.BRIGHTNESS)
CONTRAST = int(Opcode.CONTRAST)
SATURATION, HUE, GRAYSCALE = int(Opcode.SATURATION), int(Opcode.HUE), int(Opcode.GRAYSCALE)
SOLARIZE, INVERT, GAIN = int(Opcode.SOLARIZE), int(Opcode.INVERT), int(Opcode.GAIN)
BLUR = int(Opcode.GAUSSIAN_BLUR)
_1 = np.float32(1)


@kernel
def _step(code, first, second, mean, r, g, b, channels):
    """One step on a piece."""
    if code == BRIGHTNESS:
        scaled(r, first)
        if channels == 3:
            scaled(g, first)
            scaled(b, first)
    elif code == CONTRAST:
        rest = mean * (_1 - first)
        blended(r, first, rest)
        if channels == 3:
            blended(g, first, rest)
            blended(b, first, rest)
    elif code == SOLARIZE:
        solarized(r, first)
        if channels == 3:
            solarized(g, first)
            solarized(b, first)
    elif code == INVERT:
        inverted(r)
        if channels == 3:
            inverted(g)
            inverted(b)
    elif channels == 1:  # what is left is about colours
        return
    elif code == SATURATION:
        saturated(r, g, b, first)
    elif code == HUE:
        hue_rotated(r, g, b, first)
    elif code == GRAYSCALE:
        grayed(r, g, b)
    elif code == GAIN:
        scaled(r, first)
        scaled(g, _1)  # as a gain of 1, it still clamps
        scaled(b, second)


@kernel
def _barrier(code):
    """Whether a step must see the whole image as the steps before it leave it."""
    return code in (CONTRAST, BLUR)


@kernel
def chained(image, height, width, channels, codes, arguments, mean, std, out, at, strides, work):
    """Runs the chain on an image in place, and writes the result.

    Args:
        image: `(channels * height * width,)` float32.
        height: rows.
        width: columns.
        channels: 1 or 3.
        codes: `(K,)` int32, an `Opcode` for each step.
        arguments: `(K, 2)` float32.
        mean: `(channels,)` float32, of the normalisation; 0 and a std of 1 for none.
        std: `(channels,)` float32.
        out: all results, flat: float32, or uint16 for bfloat16.
        at: where this one begins.
        strides: how far its channels, rows and columns are apart.
        work: `(>= height * width + 3 * width,)` float32 to work with.
    """
    n, last, k, ready = height * width, codes.shape[0], 0, False
    lanes = np.empty(16, np.float32)
    average = np.float32(0.0)
    while True:
        stop = k + 1 if ready else k  # the mean that step k needs is known
        while stop < last and not _barrier(codes[stop]):
            stop += 1
        luma = 0.0
        asks = stop < last and codes[stop] == CONTRAST
        for begin in range(0, n, PIECE):
            end = min(begin + PIECE, n)
            r = image[begin:end]
            g = image[n + begin : n + end] if channels == 3 else r
            b = image[2 * n + begin : 2 * n + end] if channels == 3 else r
            for step in range(k, stop):
                if codes[step] != NOTHING:
                    first, second = arguments[step, 0], arguments[step, 1]
                    _step(codes[step], first, second, average, r, g, b, channels)
            if asks:
                luma += total_luma(r, g, b, lanes) if channels == 3 else total(r, lanes)
            if stop == last:
                for c in range(channels):
                    x = r if c == 0 else (g if c == 1 else b)
                    _write(x, mean[c], std[c], out, at + c * strides[0], begin, width, strides)
        if stop == last:
            return
        k, ready = stop, asks
        if asks:
            average = np.float32(luma / n)
        else:
            _blur(image, height, width, channels, arguments[k, 0], arguments[k, 1], work)
            k += 1


@kernel
def _blur(image, height, width, channels, sigma, kernel_size, work):
    n = height * width
    weights = np.empty(int(kernel_size) // 2 + 1, np.float32)
    reach = gaussian(sigma, int(kernel_size), weights)
    padded = np.empty(width + 2 * reach, np.float32)
    for c in range(channels):
        blurred(image[c * n : (c + 1) * n], height, width, weights, reach, padded, work)


@kernel
def _write(x, mean, std, out, at, begin, width, strides):
    """Normalises a piece of a channel, and writes it.

    Args:
        x: the piece.
        mean: of the channel.
        std: of the channel.
        out: all results, flat.
        at: where the channel begins.
        begin: the piece's first pixel.
        width: columns.
        strides: how far channels, rows and columns are apart.
    """
    if mean != 0 or std != 1:
        for i in range(x.shape[0]):
            x[i] = (x[i] - mean) / std
    if strides[1] == width * strides[2]:
        _store(x, out, at + begin * strides[2], strides[2])
        return
    done = 0
    while done < x.shape[0]:
        row, column = (begin + done) // width, (begin + done) % width
        stop = min(done + width - column, x.shape[0])
        _store(x[done:stop], out, at + row * strides[1] + column * strides[2], strides[2])
        done = stop


@kernel
def _store(x, out, at, step):
    """Writes pixels one after the other; rounded to bfloat16 where `out` is of 16 bits."""
    n = x.shape[0]
    if out.itemsize == 2:
        bits = x.view(np.uint32)
        for i in range(n):
            # to the nearest, ties to the even one; NaN, which no image has, is not kept
            word = bits[i]
            out[at + i * step] = (word + np.uint32(0x7FFF) + ((word >> 16) & np.uint32(1))) >> 16
    elif step == 1:
        to = out[at : at + n]
        for i in range(n):
            to[i] = x[i]
    else:
        for i in range(n):
            out[at + i * step] = x[i]
