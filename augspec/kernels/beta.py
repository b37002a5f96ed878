"""Quantiles of the Beta distribution: a table built once for each shape, read without waiting.

With s = log(u / (1 - u)) and y = log(x / (1 - x)), the quantile function x(u) becomes a smooth,
rising y(s) with straight tails (slope 1 / alpha on the left, 1 / beta on the right), however steep
x(u) is: quintic pieces on an even grid of s follow it closely, and need no search.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

LOWEST, HIGHEST = 0.05, 100.0
"""The shapes for which the accuracy is tested; a spec may ask for no others."""

_REACH = 40.0  # the logits of 2 ** -57 and of all float64 numbers below 1 lie within
_PIECES = 1600
_STEP = 2 * _REACH / _PIECES
_TOLERANCE = 1e-12  # of the logit of the probability, at the nodes
_NEWTON_STEPS = 200  # far more than needed: each step at least halves a bracket
_FRACTION_TOLERANCE = 4e-16
_TERMS = 500  # of the continued fraction, which takes about sqrt(max(alpha, beta)) of them


def beta_quantile(u: Tensor, alpha: float, beta: float) -> Tensor:
    """The x at which the Beta(alpha, beta) distribution function is u.

    Args:
        u: probabilities in (0, 1), any shape.
        alpha: first shape, in [0.05, 100].
        beta: second shape, in [0.05, 100].

    Returns:
        Quantiles in [0, 1], float64, of the shape of `u`; within 1e-8 of the exact ones.
    """
    u = u.double()
    s = u.log() - (-u).log1p()
    inside = s.clamp(-_REACH, _REACH)
    place = (inside + _REACH) / _STEP
    piece = place.floor().clamp(0, _PIECES - 1)
    coefficients, tails = _table(alpha, beta, u.device)
    y = torch.zeros_like(u)
    for row in reversed(coefficients.unbind()):
        y = y * (place - piece) + row[piece.long()]
    # the tails go on as straight lines
    return torch.sigmoid(y + (s - inside) * torch.where(s < 0, tails[0], tails[1]))


@lru_cache(maxsize=64)
def _table(alpha: float, beta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """The coefficients `(6, pieces)` of each piece of y(s), and its slopes at both ends `(2,)`.

    A piece is the polynomial in t in [0, 1] that has y, dy/ds and d2y/ds2 at its two nodes.
    """
    s = torch.linspace(-_REACH, _REACH, _PIECES + 1, dtype=torch.float64)
    y = _solve(s, alpha, beta)
    slope = 1 / _logit_cdf(y, alpha, beta)[1]
    # the derivative of log(dy/ds) = log(u (1 - u)) - alpha log x - beta log(1 - x) + constant
    turn = (-s).sigmoid() - s.sigmoid() - (alpha * (-y).sigmoid() - beta * y.sigmoid()) * slope
    first, second = slope * _STEP, slope * turn * _STEP**2
    rise, (d, d1), (e, e1) = y.diff(), (first[:-1], first[1:]), (second[:-1], second[1:])
    coefficients = torch.stack(
        [
            y[:-1],
            d,
            e / 2,
            10 * rise - 6 * d - 4 * d1 - 1.5 * e + 0.5 * e1,
            -15 * rise + 8 * d + 7 * d1 + 1.5 * e - e1,
            6 * rise - 3 * d - 3 * d1 - 0.5 * e + 0.5 * e1,
        ]
    )
    return coefficients.to(device), slope[[0, -1]].to(device)


def _solve(s: Tensor, alpha: float, beta: float) -> Tensor:
    """The y whose distribution function has the logits `s`: Newton steps kept inside a bracket."""
    far = 2 * _REACH * (1 + 1 / min(alpha, beta))  # the tails have the slopes alpha and beta
    low, high = torch.full_like(s, -far), torch.full_like(s, far)
    y = torch.zeros_like(s)
    for _ in range(_NEWTON_STEPS):
        value, slope = _logit_cdf(y, alpha, beta)
        off = value - s
        if bool((off.abs() < _TOLERANCE * (1 + s.abs())).all()):
            break
        low, high = torch.where(off < 0, y, low), torch.where(off > 0, y, high)
        step = y - off / slope
        y = torch.where((step > low) & (step < high), step, (low + high) / 2)
    return y


def _logit_cdf(y: Tensor, alpha: float, beta: float) -> tuple[Tensor, Tensor]:
    """The logit of the distribution function at x = sigmoid(y), and its derivative in y."""
    log_x, log_rest = torch.nn.functional.logsigmoid(y), torch.nn.functional.logsigmoid(-y)
    whole = math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)
    density = alpha * log_x + beta * log_rest - whole  # log of dI/dy
    # the fraction converges on one side of the mean; on the other, I_x(a, b) = 1 - I_(1-x)(b, a)
    lower = y.sigmoid() < (alpha + 1) / (alpha + beta + 2)
    x = torch.where(lower, y.sigmoid(), (-y).sigmoid())
    a = torch.full_like(x, beta).masked_fill(lower, alpha)
    b = torch.full_like(x, alpha).masked_fill(lower, beta)
    log_tail = density - a.log() - _fraction(x, a, b).log()
    log_other = (-log_tail.exp()).log1p()
    logit = torch.where(lower, log_tail - log_other, log_other - log_tail)
    return logit, (density - log_tail - log_other).exp()


def _fraction(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """`x^a (1 - x)^b / (a B(a, b) I_x(a, b))`, a continued fraction (DLMF 8.17.22), by Lentz."""
    c, d, total = torch.ones_like(x), torch.zeros_like(x), torch.ones_like(x)
    for k in range(1, _TERMS):
        m = k // 2
        if k % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + term * d)
        c = 1 + term / c
        total = total * c * d
        if bool(((c * d - 1).abs() < _FRACTION_TOLERANCE).all()):
            break
    return total
