"""Crop, resize, cut out a window and flip one sample, in one go."""

from __future__ import annotations

import numpy as np

from augspec.kernels.jit import kernel
from augspec.native.taps import count_taps, find_taps

ROW_TAP = 0.2
"""What a tap takes where whole rows are mixed, where one that picks its pixel takes 1."""

_255 = np.float32(255)


@kernel
def load(source, at, step, scale, out):
    """Reads pixels of a row as float32: bytes become fractions of 255.

    Args:
        source: all images, flat.
        at: where the row begins.
        step: how far its pixels are apart.
        scale: whether they are bytes.
        out: `(n,)` float32 to write.
    """
    n = out.shape[0]
    if step == 1:
        row = source[at : at + n]
        if scale:
            for x in range(n):
                out[x] = np.float32(row[x]) / _255
        else:
            for x in range(n):
                out[x] = np.float32(row[x])
    elif scale:
        for x in range(n):
            out[x] = np.float32(source[at + x * step]) / _255
    else:
        for x in range(n):
            out[x] = np.float32(source[at + x * step])


@kernel
def _across(row, start, weights, out):
    """Resamples one row; several taps at a time, so that sums stay in registers."""
    n, taps = out.shape[0], weights.shape[0]
    if taps == 1:
        first = weights[0]
        for x in range(n):
            out[x] = first[x] * row[start[x]]
        return
    first, second = weights[0], weights[1]
    if taps < 4:
        k = 2
        for x in range(n):
            out[x] = first[x] * row[start[x]] + second[x] * row[start[x] + 1]
    else:
        k = 4
        third, fourth = weights[2], weights[3]
        for x in range(n):
            at = start[x]
            near = first[x] * row[at] + second[x] * row[at + 1]
            out[x] = near + (third[x] * row[at + 2] + fourth[x] * row[at + 3])
    while k + 1 < taps:
        first, second = weights[k], weights[k + 1]
        for x in range(n):
            at = start[x] + k
            out[x] += first[x] * row[at] + second[x] * row[at + 1]
        k += 2
    if k < taps:
        first = weights[k]
        for x in range(n):
            out[x] += first[x] * row[start[x] + k]


@kernel
def _down(rows, begin, weights, y, out):
    """Mixes rows, the first of which begins at `begin`, into one."""
    n, taps = out.shape[0], weights.shape[0]
    w0 = weights[0, y]
    row0 = rows[begin : begin + n]
    if taps == 1:
        for x in range(n):
            out[x] = w0 * row0[x]
        return
    w1 = weights[1, y]
    row1 = rows[begin + n : begin + 2 * n]
    for x in range(n):
        out[x] = w0 * row0[x] + w1 * row1[x]
    k = 2
    while k + 1 < taps:
        w0, w1 = weights[k, y], weights[k + 1, y]
        row0 = rows[begin + k * n : begin + (k + 1) * n]
        row1 = rows[begin + (k + 1) * n : begin + (k + 2) * n]
        for x in range(n):
            out[x] += w0 * row0[x] + w1 * row1[x]
        k += 2
    if k < taps:
        w0 = weights[k, y]
        row0 = rows[begin + k * n : begin + (k + 1) * n]
        for x in range(n):
            out[x] += w0 * row0[x]


@kernel
def resampled(
    source, at, strides, height, width, scale, channels,
    how, antialias, box, size, window, flips, out_height, out_width, row, rows, out,
):  # fmt: skip
    """Resamples one image into `out`.

    Args:
        source: all images, flat.
        at: where this one begins.
        strides: how far its channels, rows and columns are apart.
        height: of the image.
        width: of the image.
        scale: whether pixels are bytes.
        channels: 1 or 3.
        how: a `Filter`.
        antialias: see `find_taps`.
        box: `(4,)` float64, top, bottom, left and right in source pixels.
        size: `(2,)`, height and width to which the box is resampled.
        window: `(2,)`, the row and column of these at which the result begins.
        flips: `(2,)`, whether rows and columns are mirrored then.
        out_height: rows of the result.
        out_width: columns of the result.
        row: `(>= width,)` float32 to work with.
        rows: `(>= height * max(width, out_width),)` float32 to work with.
        out: `(channels * out_height * out_width,)` float32 to write.
    """
    taps_y = count_taps(how, antialias, box[1] - box[0], height, size[0])
    taps_x = count_taps(how, antialias, box[3] - box[2], width, size[1])
    start_y = np.empty(out_height, np.int32)
    start_x = np.empty(out_width, np.uint32)  # without a sign, gathers take fewer instructions
    weights_y = np.empty((taps_y, out_height), np.float32)
    weights_x = np.empty((taps_x, out_width), np.float32)
    find_taps(
        how, antialias, box[0], box[1], height, size[0], window[0], flips[0], start_y, weights_y
    )
    find_taps(
        how, antialias, box[2], box[3], width, size[1], window[1], flips[1], start_x, weights_x
    )
    top, bottom = start_y.min(), start_y.max() + taps_y
    left, right = np.int64(start_x.min()), np.int64(start_x.max()) + taps_x
    for x in range(out_width):
        start_x[x] -= np.uint32(left)
    wide = right - left
    gathers = (bottom - top) * out_width * taps_x
    # the order that costs less, by what a tap of a row and a tap of a pixel take
    columns_first = out_height * (out_width * taps_x + ROW_TAP * wide * taps_y) < gathers
    for channel in range(channels):
        for y in range(top, bottom):
            begin = at + channel * strides[0] + y * strides[1] + left * strides[2]
            if columns_first:
                to = (y - top) * wide
                load(source, begin, strides[2], scale, rows[to : to + wide])
            else:
                load(source, begin, strides[2], scale, row[:wide])
                to = (y - top) * out_width
                _across(row, start_x, weights_x, rows[to : to + out_width])
        for y in range(out_height):
            to = (channel * out_height + y) * out_width
            first = start_y[y] - top
            if columns_first:
                _down(rows, first * wide, weights_y, y, row[:wide])
                _across(row, start_x, weights_x, out[to : to + out_width])
            else:
                _down(rows, first * out_width, weights_y, y, out[to : to + out_width])
