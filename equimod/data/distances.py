"""The eight outlines of the rendered data set, as signed distances (negative inside).

Points are in the outline's own frame, whose unit is about its radius. Only sums, products, square
roots and comparisons are used: IEEE 754 rounds each of them correctly, so every machine computes
the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Outline = Callable[[F32, F32], F32]

# sine and cosine of 18, 36, 54, 72 degrees and the like, as literals: no library's sine is involved
_SIN18, _COS18 = 0.30901699437494745, 0.9510565162951535
_SIN54, _COS54 = 0.8090169943749475, 0.5877852522924731
_HALF_ROOT3 = 0.8660254037844386
_HALF_ROOT2 = 0.7071067811865476


def _radius(x: F32, y: F32) -> F32:
    return np.sqrt(x * x + y * y)


def circle(x: F32, y: F32) -> F32:
    """A disc of radius 0.9."""
    return _radius(x, y) - 0.9


def square(x: F32, y: F32) -> F32:
    """A square of side 1.6."""
    edge: F32 = np.maximum(abs(x), abs(y))
    return edge - 0.8


def triangle(x: F32, y: F32) -> F32:
    """An equilateral triangle around the origin, pointing to +y."""
    edge: F32 = np.maximum(-y, _HALF_ROOT3 * abs(x) + 0.5 * y)
    return edge - 0.58


def star(x: F32, y: F32) -> F32:
    """A pentagram: the points that at most one of a pentagon's five sides leaves outside."""
    sides = np.stack(
        [
            -y,
            _COS18 * x - _SIN18 * y,
            -_COS18 * x - _SIN18 * y,
            _COS54 * x + _SIN54 * y,
            -_COS54 * x + _SIN54 * y,
        ]
    )
    return np.partition(sides, 3, axis=0)[3] - 0.42


def cross(x: F32, y: F32) -> F32:
    """A plus sign of two bars."""
    x, y = abs(x), abs(y)
    return np.minimum(np.maximum(x - 1.05, y - 0.34), np.maximum(x - 0.34, y - 1.05))


def ring(x: F32, y: F32) -> F32:
    """An annulus."""
    return abs(_radius(x, y) - 0.76) - 0.26


def heart(x: F32, y: F32) -> F32:
    """A square on its corner with a disc on each of its upper sides."""
    y = y + 0.15
    u, v = _HALF_ROOT2 * (x + y), _HALF_ROOT2 * (y - x)
    lobes = np.minimum(_radius(u - 0.6, v), _radius(u, v - 0.6))
    return np.minimum(np.maximum(abs(u), abs(v)), lobes) - 0.6


def crescent(x: F32, y: F32) -> F32:
    """A disc with a smaller disc cut out of its side."""
    return np.maximum(_radius(x + 0.1, y) - 1.05, 0.82 - _radius(x - 0.42, y))


OUTLINES: dict[str, Outline] = {
    outline.__name__: outline
    for outline in (circle, square, triangle, star, cross, ring, heart, crescent)
}
