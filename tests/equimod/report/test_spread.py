"""Mean, standard deviation and interval against scipy, and how often an interval is right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from equimod.report.spread import Spread, spread, student_quantile

numbers = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40)


@pytest.mark.parametrize("freedom", [*range(1, 41), 99, 100, 999, 1000, 9999])
def test_quantiles_are_those_of_scipy(freedom: int) -> None:
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-12)


@given(values=numbers)
def test_intervals_are_those_of_scipy(values: list[float]) -> None:
    found = spread(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert found.std == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-9)
    if found.std:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)
    else:
        assert found.low == found.mean == found.high


def test_published_five_seeds() -> None:
    found = spread([92.1, 92.4, 92.5, 92.9, 92.4])
    assert found.mean == pytest.approx(92.46)
    assert found.std == pytest.approx(math.sqrt(0.083))
    assert (found.low, found.high) == pytest.approx((92.1023, 92.8177), abs=1e-4)


def test_one_seed_has_no_spread_and_none_no_mean() -> None:
    assert spread([3.0]) == Spread(1, 3.0)
    with pytest.raises(ValueError, match="no values"):
        spread([])


@given(value=st.floats(-1e9, 1e9), n=st.integers(2, 50))
def test_equal_values_are_their_mean_exactly(value: float, n: int) -> None:
    assert spread([value] * n) == Spread(n, value, 0.0, value, value)


def test_95_of_100_intervals_hold_the_true_mean() -> None:
    draws = np.random.default_rng(0).normal(5.0, 2.0, (4000, 4))
    found = [spread(row.tolist()) for row in draws]
    share = np.mean([s.low <= 5.0 <= s.high for s in found])
    assert abs(share - 0.95) < 3 * math.sqrt(0.95 * 0.05 / len(draws))
