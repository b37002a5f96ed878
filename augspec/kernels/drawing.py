"""Draws that would take many tensors, sample by sample in machine code.

Only what IEEE 754 rounds in one way is done here, so that the results are those of the tensors bit
for bit; logarithms, powers and sines are left to torch. Arrays are `(B,)` float64 unless it says
otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from augspec.kernels.jit import entry


@entry
def box_rows(
    corner: Any,
    area: Any,
    aspect: Any,
    sizes: Any,
    low: Any,
    high: Any,
    switch: Any,
    gate: Any,
    boxes: Any,
    code: Any,
) -> None:  # pragma: no cover
    """The boxes of `augspec.ops.resized_crop`, the whole image where the gate is shut.

    Args:
        corner: `(2, B)`, uniforms of top and left.
        area: `(A, B)`, of each attempt, as a fraction of the image's.
        aspect: `(A, B)`, of each attempt.
        sizes: height and width of all images, `(1, 2)` int64, or of each, `(B, 2)`.
        low: the smallest aspect ratio that can be drawn.
        high: the largest one.
        switch: below `gate` where the gate is open.
        gate: see there.
        boxes: `(4, B)`, to be written: centre (y, x), height and width, relative to the image.
        code: `(B, 4)` float32, to be written: columns 0 and 1, of the centre.
    """
    each = 1 if len(sizes) > 1 else 0
    for i in range(len(switch)):
        if switch[i] >= gate:
            boxes[0, i] = boxes[1, i] = 0.5
            boxes[2, i] = boxes[3, i] = 1.0
            code[i, 0] = code[i, 1] = 0.0
            continue
        height, width = np.float64(sizes[i * each, 0]), np.float64(sizes[i * each, 1])
        whole, found = height * width, False
        h, w = height, width
        for k in range(len(area)):
            pixels = area[k, i] * whole
            h, w = np.rint(np.sqrt(pixels / aspect[k, i])), np.rint(np.sqrt(pixels * aspect[k, i]))
            found = 0 < h <= height and 0 < w <= width
            if found:
                break
        if found:
            top = np.floor(corner[0, i] * (height - h + 1))
            left = np.floor(corner[1, i] * (width - w + 1))
        else:
            h, w = height, width
            if width / height < low:
                h = max(np.rint(width / low), 1.0)
            elif width / height > high:
                w = max(np.rint(height * high), 1.0)
            top, left = np.floor((height - h) / 2), np.floor((width - w) / 2)
        boxes[0, i], boxes[1, i] = (top + h / 2) / height, (left + w / 2) / width
        boxes[2, i], boxes[3, i] = h / height, w / width
        for k in range(2):  # what float32 columns carry, and its code
            carried = np.float64(np.float32(boxes[k, i] - 0.5)) + 0.5
            code[i, k] = np.float32(carried - 0.5)


@entry
def jitter_rows(
    switch: Any,
    gate: Any,
    brightness: Any,
    contrast: Any,
    saturation: Any,
    hue: Any,
    order: Any,
    places: Any,
    seen: Any,
    code: Any,
    angles: Any,
) -> None:  # pragma: no cover
    """The code of `augspec.ops.color_jitter`, but for the two columns of the hue.

    Args:
        switch: below `gate` where the gate is open.
        gate: see there.
        brightness: as drawn, whether or not the gate is shut; so are the next four.
        contrast: see there.
        saturation: see there.
        hue: see there.
        order: the order's index.
        places: `(24, 4)` int64, see `OrderTables`.
        seen: `(24 * 16, 6)`, see there.
        code: `(B, 11)` float32, to be written but for columns 3 and 4.
        angles: `(2, B)`, to be written: of whose sines these columns are made, see `Angle.encode`.
    """
    for i in range(len(switch)):
        if switch[i] >= gate:
            code[i] = 0.0
            angles[0, i] = angles[1, i] = 0.0
            continue
        # what float32 columns carry, from which the rest follows
        b = np.float64(np.float32(brightness[i] - 1.0)) + 1.0
        c = np.float64(np.float32(contrast[i] - 1.0)) + 1.0
        s = np.float64(np.float32(saturation[i] - 1.0)) + 1.0
        index = np.int64(order[i])
        place = places[index]
        h = hue[i] - np.rint(hue[i])
        # what no image can show, see `ColorJitter.canonical`
        black, gray = b == 0, c == 0
        if black or (gray and place[1] < place[2]):
            s = np.float64(1.0)
        if black or (gray and place[1] < place[3]) or (s == 0 and place[2] < place[3]):
            h = 0.0
        if black:
            c = np.float64(1.0)
        code[i, 0] = np.float32(b - 1.0)
        code[i, 1] = np.float32(c - 1.0)
        code[i, 2] = np.float32(s - 1.0)
        row = index * 16 + 8 * (b != 1) + 4 * (c != 1) + 2 * (s != 1) + (h != 0)
        for k in range(6):
            code[i, 5 + k] = np.float32(seen[row, k])
        half_turns = 2 * (h - np.rint(h))
        folded = half_turns
        if abs(half_turns) > 0.5:
            folded = np.sign(half_turns) - half_turns
        angles[0, i], angles[1, i] = np.pi * folded, np.pi / 2 * half_turns
