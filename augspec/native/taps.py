"""Which source pixels a resampled pixel is made of, along one axis, and with what weights.

The numbers are those of `augspec.kernels.resample.axis_weights`, of whose rows these are the parts
that are not zero: computed in float64, and kept as float32.
"""

from __future__ import annotations

import math

import numpy as np

from augspec.kernels.jit import inlined, kernel
from augspec.kernels.opcodes import Filter

COPY, NEAREST, BILINEAR = int(Filter.COPY), int(Filter.NEAREST), int(Filter.BILINEAR)
_SNAP = 2e-6


@inlined
def _reach(how):
    return 1 if how == BILINEAR else 2


@kernel
def count_taps(how, antialias, box, in_size, out_size):
    """How many taps the pixels have to which a box of this many source pixels is resampled."""
    if how <= NEAREST:
        return 1
    if not antialias:
        return min(2 * _reach(how), in_size)
    if not box >= 1.0:  # not a number, too: nothing may make an index that is out of bounds
        box = 1.0
    stretch = max(min(box, in_size) / out_size, 1.0)
    return min(math.ceil(2 * _reach(how) * stretch), in_size)


@kernel
def _curve(distance, how, coefficient):
    """The triangle, or Keys' cubic (IEEE TASSP 1981)."""
    if how == BILINEAR:
        return max(1.0 - distance, 0.0)
    if distance < 1.0:
        return ((coefficient + 2.0) * distance - (coefficient + 3.0)) * distance * distance + 1.0
    if distance < 2.0:
        return coefficient * (((distance - 5.0) * distance + 8.0) * distance - 4.0)
    return 0.0


@kernel
def _snapped(edge, in_size):
    whole = np.rint(edge)
    return whole if abs(edge - whole) <= _SNAP * in_size else edge


@kernel
def find_taps(how, antialias, low, high, in_size, out_size, first, flip, start, weights):
    """Writes the taps of a window of the resampled pixels of a box.

    Args:
        how: the filter, a `Filter`.
        antialias: whether it widens where the box shrinks.
        low: lower edge of the box in source pixels; the box is the whole axis for `COPY`.
        high: upper edge.
        in_size: source pixels.
        out_size: pixels to which the box is resampled; as many as the source has for `COPY`.
        first: the first of these that the window shows; what lies outside of them is zero.
        flip: whether the window is mirrored.
        start: `(n,)` int32 or uint32 to write: the first tap of each of the window's n pixels.
        weights: `(taps, n)` float32 to write, with `count_taps` of the box.
    """
    n = start.shape[0]
    low, high = _snapped(low, in_size), _snapped(high, in_size)
    taps = weights.shape[0]
    exact = np.empty(taps, np.float64)
    if how == NEAREST:
        first_pixel = int(min(np.rint(low), math.floor(0.5 * (low + high))))
        first_pixel = min(max(first_pixel, 0), in_size - 1)
        last_pixel = max(int(min(np.rint(high), in_size)) - 1, first_pixel)
    for place in range(n):
        target = first + (n - 1 - place if flip else place)
        for k in range(taps):
            weights[k, place] = np.float32(0.0)
        start[place] = 0
        if target < 0 or target >= out_size:
            continue
        if how == COPY:
            start[place] = target
            weights[0, place] = np.float32(1.0)
        elif how == NEAREST:
            scale = np.float32(last_pixel - first_pixel + 1) / np.float32(out_size)
            index = first_pixel + math.floor(scale * np.float32(target))
            start[place] = min(index, last_pixel)
            weights[0, place] = np.float32(1.0)
        elif antialias:
            _antialiased(how, low, high, in_size, out_size, target, place, start, weights, exact)
        else:
            _interpolated(how, low, high, in_size, out_size, target, place, start, weights, taps)


@kernel
def _antialiased(how, low, high, in_size, out_size, target, place, start, weights, exact):
    taps = exact.shape[0]
    high = max(high, low + 1e-6)
    scale = (high - low) / out_size
    stretch = max(scale, 1.0)
    centre = low + scale * (target + 0.5)
    first = math.ceil(centre - _reach(how) * stretch - 0.5)
    # no tap may lie outside the image: those left out there lie outside the box, and weigh nothing
    first = min(max(first, 0), in_size - taps)
    total = 0.0
    for k in range(taps):
        exact[k] = _weight(how, first + k, low, high, centre, stretch)
        total += exact[k]
    for k in range(taps):
        weights[k, place] = np.float32(exact[k] / total)
    start[place] = first


@kernel
def _weight(how, pixel, low, high, centre, stretch):
    """The filter's weight of a pixel, by the part of it that lies in the box."""
    inside = max(min(high, pixel + 1.0), pixel) - max(min(low, pixel + 1.0), pixel)
    if inside == 0.0:
        return 0.0
    return _curve(abs(pixel + 0.5 - centre) / stretch, how, -0.5) * inside


@kernel
def _interpolated(how, low, high, in_size, out_size, target, place, start, weights, taps):
    scale = (high - low) / out_size
    position = low + scale * (target + 0.5) - 0.5
    base = math.floor(position)
    first_pixel = int(min(np.rint(low), math.floor(0.5 * (low + high))))
    first_pixel = min(max(first_pixel, 0), in_size - 1)
    last_pixel = max(int(min(np.rint(high), in_size)) - 1, first_pixel)
    reach = _reach(how)
    first = min(max(base + 1 - reach, 0), in_size - taps)
    start[place] = first
    for k in range(1 - reach, reach + 1):
        weight = _curve(abs(base + k - position), how, -0.75)
        index = min(max(base + k, first_pixel), last_pixel)
        weights[min(max(index - first, 0), taps - 1), place] += np.float32(weight)
