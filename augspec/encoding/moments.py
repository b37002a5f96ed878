"""Exact means and second moments of code columns, and how those of parts make those of a whole.

The identity is the zero code. So whatever is left out on some samples has its columns multiplied by
zero there, and gates, groups and choices all come down to the probabilities with which the parts
act, alone and two at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from augspec.encoding.codecs import Codec

if TYPE_CHECKING:
    from torch import Tensor

    from augspec.kernels.quadrature import Quadrature

CLOSE = 1e-9
"""How far rules of different fineness may lie apart, relative to the largest column."""


@dataclass(frozen=True)
class Moments:
    """Moments of E columns c, float64; NaN where no exact value is known.

    Attributes:
        mean: E[c], `(E,)`.
        second: E[c c^T], `(E, E)`.
    """

    mean: Tensor
    second: Tensor

    @property
    def covariance(self) -> Tensor:
        """The covariances `(E, E)`."""
        return self.second - self.mean[:, None] * self.mean


def unknown(width: int) -> Moments:
    """The moments of columns of which nothing is known."""
    import torch

    mean = torch.full((width,), torch.nan, dtype=torch.float64)
    return Moments(mean, mean.expand(width, width).clone())


def drawn(codec: Codec, rules: Sequence[Quadrature | None]) -> Moments:
    """The moments of a parameter's columns.

    Args:
        codec: how it is encoded.
        rules: points and weights of its distribution, the same one with several finenesses. Where
            they disagree, the columns have no exact moments.
    """
    import torch

    found = []
    for rule in rules:
        if rule is None:
            return unknown(codec.width)
        points, weights = rule
        code = codec.encode(points)
        second = code.mT @ (weights[:, None] * code)
        found.append(Moments(weights @ code, (second + second.mT) / 2))
    first, last = found[0], found[-1]
    scale = max(float(last.second.abs().max()) if codec.width else 0.0, 1e-300)
    agree = torch.allclose(first.second, last.second, rtol=0, atol=CLOSE * scale)
    agree &= torch.allclose(first.mean, last.mean, rtol=0, atol=CLOSE * scale**0.5)
    return last if agree else unknown(codec.width)


def together(
    parts: Sequence[Moments],
    alone: Sequence[float] | float = 1.0,
    both: Callable[[int, int], float] | float = 1.0,
) -> Moments:
    """The moments of the columns of several parts whose draws are independent of one another.

    Args:
        parts: the moments of each part where it acts.
        alone: the probability with which each part acts.
        both: the probability with which the k-th and the l-th act on the same sample.
    """
    import torch

    odds = [alone] * len(parts) if isinstance(alone, float) else list(alone)
    means = [_times(part.mean, p) for part, p in zip(parts, odds, strict=True)]
    widths = [len(mean) for mean in means]
    second = torch.zeros(sum(widths), sum(widths), dtype=torch.float64)
    row = 0
    for k, a in enumerate(parts):
        column = 0
        for m, b in enumerate(parts):
            if k == m:
                block = _times(a.second, odds[k])
            else:
                shared = both if isinstance(both, float) else both(k, m)
                block = _times(a.mean[:, None] * b.mean, shared)
            second[row : row + widths[k], column : column + widths[m]] = block
            column += widths[m]
        row += widths[k]
    mean = torch.cat(means) if means else torch.zeros(0, dtype=torch.float64)
    return Moments(mean, second)


def _times(values: Tensor, probability: float) -> Tensor:
    """What never acts is zero, whether or not its own moments are known."""
    return values * probability if probability > 0 else values.new_zeros(values.shape)
