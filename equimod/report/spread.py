"""Mean, spread and confidence interval of a number over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.95
"""How often an interval, made from new seeds each time, holds the true mean."""


@dataclass(frozen=True)
class Spread:
    """A number over seeds.

    Attributes:
        n: how many seeds.
        mean: their mean.
        std: their sample standard deviation (divided by n - 1); None for one seed.
        low: lower end of the 95 % interval of the mean, by Student's t; None for one seed.
        high: its upper end.
    """

    n: int
    mean: float
    std: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the interval; None for one seed."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def spread(values: Sequence[float]) -> Spread:
    """The spread of one or more values.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("no values have no mean")
    n, mean = len(values), statistics.mean(values)  # exact: equal values have themselves as mean
    if n == 1:
        return Spread(n, mean)
    std = statistics.stdev(values)
    half = student_quantile(n - 1) * std / math.sqrt(n)
    return Spread(n, mean, std, mean - half, mean + half)


@lru_cache
def student_quantile(freedom: int) -> float:
    """The t that |T| stays below with probability `CONFIDENCE`.

    Args:
        freedom: degrees of freedom of Student's distribution of T, 1 or more.
    """
    low, high = 1.0, 16.0
    while high - low > 4 * math.ulp(high):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < CONFIDENCE else (low, middle)
    return (low + high) / 2


def _within(t: float, freedom: int) -> float:
    """The probability of |T| < t: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
