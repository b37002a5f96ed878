"""Gaussian blur of one sample in place, edges mirrored."""

from __future__ import annotations

import math

import numpy as np

from augspec.kernels.jit import kernel

_NOTHING = 1e-11  # weights below this change no float32 in [0, 1]


@kernel
def gaussian(sigma, kernel_size, weights):
    """Writes one half of the kernel, the middle first, and returns how far it reaches.

    Args:
        sigma: standard deviation in pixels.
        kernel_size: side of the kernel in pixels, odd.
        weights: `(>= kernel_size // 2 + 1,)` float32 to write.
    """
    reach = kernel_size // 2
    sum_of_all = 1.0
    for k in range(1, reach + 1):
        sum_of_all += 2 * math.exp(-0.5 * (k / sigma) ** 2)
    last = 0
    for k in range(reach + 1):
        weight = math.exp(-0.5 * (k / sigma) ** 2) / sum_of_all
        weights[k] = np.float32(weight)
        if weight > _NOTHING:
            last = k
    return last


@kernel
def _mirror(place, side):
    place = abs(place)
    return 2 * (side - 1) - place if place >= side else place


@kernel
def blurred(image, height, width, weights, reach, padded, spare):
    """Convolves one channel with the kernel, first along rows, then along columns.

    Args:
        image: `(height * width,)` float32, in place.
        height: rows.
        width: columns.
        weights: one half of the kernel, the middle first.
        reach: how many of its weights beyond the middle count.
        padded: `(>= width + 2 * reach,)` float32 to work with.
        spare: `(>= height * width,)` float32 to work with.
    """
    for y in range(height):
        row = image[y * width : (y + 1) * width]
        out = spare[y * width : (y + 1) * width]
        for x in range(reach):
            padded[x] = row[_mirror(x - reach, width)]
            padded[reach + width + x] = row[_mirror(width + x, width)]
        padded[reach : reach + width] = row
        middle = padded[reach : reach + width]
        for x in range(width):
            out[x] = weights[0] * middle[x]
        for k in range(1, reach + 1):
            left, right = padded[reach - k : reach - k + width], padded[reach + k :]
            weight = weights[k]
            for x in range(width):
                out[x] += weight * (left[x] + right[x])
    for y in range(height):
        out = image[y * width : (y + 1) * width]
        row = spare[y * width : (y + 1) * width]
        for x in range(width):
            out[x] = weights[0] * row[x]
        for k in range(1, reach + 1):
            above = _mirror(y - k, height) * width
            below = _mirror(y + k, height) * width
            first, second = spare[above : above + width], spare[below : below + width]
            weight = weights[k]
            for x in range(width):
                out[x] += weight * (first[x] + second[x])
