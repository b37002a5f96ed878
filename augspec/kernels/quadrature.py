"""Points and weights with which the mean of a function under a distribution is a weighted sum.

Gauss rules: for functions without a singularity nearby they are exact to rounding with a few dozen
points (Golub and Welsch, "Calculation of Gauss quadrature rules", 1969).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Quadrature = tuple[Tensor, Tensor]
"""Points and their weights, `(N,)` float64 each; the weights sum to 1."""


def finite(points: tuple[float, ...], weights: tuple[float, ...] | None = None) -> Quadrature:
    """The rule of a distribution on a few points; equally likely ones if no weights are given."""
    x = torch.tensor(points, dtype=torch.float64)
    w = torch.ones_like(x) if weights is None else torch.tensor(weights, dtype=torch.float64)
    return x, w / w.sum()


def uniform(low: float, high: float, count: int) -> Quadrature:
    """The Gauss-Legendre rule of the uniform distribution on [low, high].

    Args:
        low: where it begins.
        high: where it ends.
        count: how many points; an even number has none in the middle, which is often an identity.
    """
    x, w = np.polynomial.legendre.leggauss(count)
    return _rule((low + high) / 2 + (high - low) / 2 * x, w)


def normal(mean: float, std: float, low: float, high: float, count: int) -> Quadrature | None:
    """A rule of the normal distribution truncated to [low, high]; None far out in a tail."""
    # nine standard deviations hold all but 1e-18 of it
    low, high = max(low, mean - 9 * std), min(high, mean + 9 * std)
    if low >= high:
        return None
    x, w = uniform(low, high, 2 * count)
    w = w * (-0.5 * ((x - mean) / std).square()).exp()
    return (x, w / w.sum()) if w.sum() > 0 else None


def beta(a: float, b: float, count: int) -> Quadrature:
    """The Gauss-Jacobi rule of the beta distribution with shapes a and b on [0, 1].

    Its points are the eigenvalues of the recurrence of the Jacobi polynomials, and its weights the
    squares of the first components of the eigenvectors.
    """
    p, q = b - 1.0, a - 1.0  # the exponents of (1 - x) and (1 + x) on [-1, 1]
    k = np.arange(1, count, dtype=np.float64)
    s = 2 * k + p + q
    diagonal = np.empty(count)
    diagonal[0] = (q - p) / (p + q + 2)
    diagonal[1:] = (q * q - p * p) / (s * (s + 2))
    # (k + p + q) / (s - 1) is 1 at k = 1, even where it is 0 / 0
    ratio = np.ones(count - 1)
    ratio[1:] = (k + p + q)[1:] / (s - 1)[1:]
    off = np.sqrt(4 * k * (k + p) * (k + q) * ratio / (s * s * (s + 1)))
    x, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return _rule((1 + x) / 2, vectors[0] ** 2)


def log_uniform(low: float, high: float, count: int) -> Quadrature:
    """The rule of a distribution that is uniform in the logarithm on [low, high]."""
    x, w = uniform(math.log(low), math.log(high), count)
    return x.exp(), w


def _rule(points: NDArray[np.float64], weights: NDArray[np.float64]) -> Quadrature:
    return torch.from_numpy(points), torch.from_numpy(weights / weights.sum())
