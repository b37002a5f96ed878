"""The logarithm and the exponential of the affine group, in closed form.

A code of seven columns stands for `exp(X) F^r`: first the mirror F (x to -x) if the reflection bit
r says so, then the exponential of `X = [[stretch_x, stretch_xy - turn, shift_x], [stretch_xy +
turn, stretch_y, shift_y], [0, 0, 0]]`: the columns are r, turn (in radians, clockwise as seen),
stretch_x, stretch_y, stretch_xy (logarithms of factors) and the two shifts (in half sides). Codes
k times as large, in all but the bit, are k-th powers of the map without its mirror.

**The domain.** A reflection has no logarithm, hence the bit. Nor has every map without one: its 2x2
part may have no eigenvalue that is negative, with one exception, a half turn that scales both axes
alike (`-s` times the identity), which is `exp` of a turn by pi. A half turn that stretches one axis
more than the other (an upside-down crop of another aspect ratio) is in no one-parameter group. Then
`affine_log` says so, and its columns are NaN. A code that exists for every map is
`augspec.kernels.polar`'s.

The logarithm is the principal one: the angles of its eigenvalues lie in (-pi, pi]. It grows without
bound towards the edge of the domain. Both directions are differentiable inside the domain, and
nothing makes the host wait. A 2x2 matrix is `m I + N` with a traceless N, whose square is q times
the identity: functions of it are `c I + d N`, with scalars c and d that are smooth in m and q, also
at q = 0.
"""

import math

import torch
from torch import Tensor

COLUMNS = ("reflection", "turn", "stretch_x", "stretch_y", "stretch_xy", "shift_x", "shift_y")
"""What the columns of a logarithm are."""

SAME = 1e-12
"""Relative to the matrix: a half turn is even where its axes differ by less, a last row is that of
an affine map where it is off by less."""

_NEAR = 0.01  # where |q| is below, a series; its terms fall below float64's precision
_TERMS = 10
_HALVINGS = 6  # before a Taylor series of 14 terms: exact for logarithms of factors up to e^32
_TAYLOR = 14


def affine_log(element: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithms of affine elements `(B, 3, 3)`, normalised.

    Returns:
        Codes `(B, 7)`, and which of them exist, `(B,)` bool: those of affine maps in the domain
        (see above). The others are NaN.
    """
    linear, mirrored = unmirrored(element[:, :2, :2])
    a, b, c, d = linear.flatten(-2).unbind(-1)
    m, det = (a + d) / 2, a * d - b * c
    q = ((a - d) / 2).square() + b * c  # (m I + N)^2 has N^2 = q I; det = m^2 - q
    flat = torch.stack([(a - d).abs(), b.abs(), c.abs()], dim=-1).amax(dim=-1)
    even = (m < 0) & (flat <= SAME * m.abs())
    exists = (det > 0) & (even | (q < 0) | (m > 0)) & is_affine(element)
    # the other rows take a harmless detour: derivatives that are NaN stay NaN times zero
    usual = exists & ~even
    m = torch.where(usual, m, 1.0)
    q = torch.where(usual, q, 0.0)
    det = torch.where(exists, det, 1.0)
    size, factor = det.log() / 2, log_factor(m, q, torch.where(usual, det, 1.0))
    half = torch.where(even, 0.0, factor * (a - d) / 2)
    right, left = torch.where(even, 0.0, factor * b), torch.where(even, 0.0, factor * c)
    turn = torch.where(even, math.pi, (left - right) / 2)
    both = torch.where(exists, (left + right) / 2, 0.0)
    half, turn = torch.where(exists, half, 0.0), torch.where(exists, turn, 0.0)
    # v = V^-1 t, and the inverse of c I + d N is (c I - d N) / (c^2 - q d^2)
    q = half.square() + both.square() - turn.square()
    cosine, sine = _velocity(size, q)
    x, y = element[:, :2, 2].unbind(-1)
    nx, ny = half * x + (both - turn) * y, (both + turn) * x - half * y
    scale = cosine.square() - q * sine.square()
    vx, vy = (cosine * x - sine * nx) / scale, (cosine * y - sine * ny) / scale
    columns = [mirrored.to(m), turn, size + half, size - half, both, vx, vy]
    code = torch.stack(columns, dim=-1)
    return torch.where(exists.unsqueeze(-1), code, torch.nan), exists


def affine_exp(code: Tensor) -> Tensor:
    """The affine elements `(B, 3, 3)` of codes `(B, 7)`; the bit is read at one half."""
    reflection, turn, stretch_x, stretch_y, both, vx, vy = code.double().unbind(-1)
    size, half = (stretch_x + stretch_y) / 2, (stretch_x - stretch_y) / 2
    q = half.square() + both.square() - turn.square()
    growth, (cosine, sine) = size.exp(), exp_factors(q)
    a, d = growth * (cosine + sine * half), growth * (cosine - sine * half)
    b, c = growth * sine * (both - turn), growth * sine * (both + turn)
    along, across = _velocity(size, q)
    x = along * vx + across * (half * vx + (both - turn) * vy)
    y = along * vy + across * ((both + turn) * vx - half * vy)
    return join((a, b, c, d), x, y, reflection > 0.5)


def unmirrored(linear: Tensor) -> tuple[Tensor, Tensor]:
    """The matrices `(B, 2, 2)` without their mirror F, and which of them had one, `(B,)` bool."""
    a, b, c, d = linear.flatten(-2).unbind(-1)
    mirrored = a * d - b * c < 0
    sign = torch.where(mirrored, -1.0, 1.0).to(linear)
    return torch.stack([sign * a, b, sign * c, d], dim=-1).unflatten(-1, (2, 2)), mirrored


def join(entries: tuple[Tensor, ...], x: Tensor, y: Tensor, mirrored: Tensor) -> Tensor:
    """The elements `(B, 3, 3)` that mirror, apply a matrix of these four entries, and shift."""
    a, b, c, d = entries
    sign = torch.where(mirrored, -1.0, 1.0).to(a)
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    rows = [sign * a, b, x, sign * c, d, y, zero, zero, one]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def is_affine(element: Tensor) -> Tensor:
    """Which elements `(B, 3, 3)` are affine, up to rounding: `(B,)` bool."""
    across, down, corner = element[:, 2].unbind(-1)
    return torch.maximum(across.abs(), down.abs()) <= SAME * corner.abs()


def log_factor(m: Tensor, q: Tensor, det: Tensor) -> Tensor:
    """The d of `log(m I + N) = log(det) / 2 I + d N`: atanh(r / m) / r, r = sqrt q, or an angle."""
    ratio = q / m.square()
    near = (m > 0) & (ratio.abs() < _NEAR)
    root = torch.where(near, 0.5, q.abs()).sqrt()
    grows = (q > 0) & ~near
    # atanh(t) = log((1 + t) / sqrt(1 - t^2)), and 1 - t^2 is det / m^2 without its cancellation
    rest = torch.where(grows, det / m.square(), 0.5)
    stretch = (1 + torch.where(grows, root / m, 0.5)).log() - rest.log() / 2
    far = torch.where(grows, stretch, torch.atan2(root, m)) / root
    small, series = torch.where(near, ratio, 0.0), torch.zeros_like(ratio)
    for k in reversed(range(_TERMS)):
        series = series * small + 1 / (2 * k + 1)
    return torch.where(near, series / m, far)


def exp_factors(q: Tensor) -> tuple[Tensor, Tensor]:
    """The c and d of `exp(N) = c I + d N`: cosh r and sinh(r) / r, r = sqrt q, or cos and sin."""
    near = q.abs() < _NEAR
    root = torch.where(near, 0.5, q.abs()).sqrt()
    grows = q > 0
    # where a root stands for an angle it is no exponent, and the other way round
    exponent, angle = torch.where(grows, root, 0.5), torch.where(grows, 0.5, root)
    cosine = torch.where(grows, exponent.cosh(), angle.cos())
    sine = torch.where(grows, exponent.sinh() / exponent, angle.sin() / angle)
    small = torch.where(near, q, 0.0)
    even, odd = torch.zeros_like(small), torch.zeros_like(small)
    for k in reversed(range(_TERMS)):
        even = even * small + 1 / math.factorial(2 * k)
        odd = odd * small + 1 / math.factorial(2 * k + 1)
    return torch.where(near, even, cosine), torch.where(near, odd, sine)


def _velocity(size: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """The c and d of `V = c I + d N`, the mean of `exp(s L)` over s in [0, 1], `L = size I + N`.

    A shift by v at every moment, while the plane turns and stretches, is `V v` in the end. From the
    Taylor series of V(L / 2^k) by doubling: V(2 L) = (I + exp L) V(L) / 2.
    """
    step = 2.0**-_HALVINGS
    c, d = torch.full_like(size, 1 / math.factorial(_TAYLOR)), torch.zeros_like(size)
    for k in reversed(range(1, _TAYLOR)):
        c, d = step * (c * size + d * q) + 1 / math.factorial(k), step * (c + d * size)
    for _ in range(_HALVINGS):
        growth, (cosine, sine) = (step * size).exp(), exp_factors(step**2 * q)
        along, across = (1 + growth * cosine) / 2, growth * sine * step / 2
        c, d = along * c + q * across * d, along * d + across * c
        step = 2 * step
    return c, d
