"""The learning rate: end points, shape and refusals."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equimod.schedule import learning_rate


def test_the_end_points() -> None:
    assert learning_rate(0, 1000, 100, 4.0) == 0
    assert learning_rate(50, 1000, 100, 4.0) == pytest.approx(2.0)
    assert learning_rate(100, 1000, 100, 4.0) == 4.0
    assert learning_rate(550, 1000, 100, 4.0) == pytest.approx(2.0)
    assert learning_rate(1000, 1000, 100, 4.0) == pytest.approx(0, abs=1e-12)
    assert learning_rate(1000, 1000, 100, 4.0, final_lr=0.5) == pytest.approx(0.5)
    assert learning_rate(0, 10, 0, 4.0) == 4.0


def test_a_run_that_is_all_warm_up_ends_at_the_base() -> None:
    assert [learning_rate(s, 4, 4, 1.0) for s in range(5)] == [0, 0.25, 0.5, 0.75, 1.0]


runs = st.tuples(st.integers(1, 500), st.floats(0, 1), st.floats(1e-4, 10), st.floats(0, 1)).map(
    lambda t: (t[0], int(t[0] * t[1]), t[2], t[2] * t[3])
)


@given(runs)
def test_it_rises_then_falls_without_leaps(run: tuple[int, int, float, float]) -> None:
    total, warmup, base, final = run
    rates = [learning_rate(s, total, warmup, base, final) for s in range(total + 1)]
    rising, falling = rates[: warmup + 1], rates[warmup:]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert max(rates) == rates[warmup] == pytest.approx(base)
    steepest_rise = base / max(warmup, 1)
    # the cosine's slope is at most pi / 2 of its height over its length
    steepest_fall = (base - final) * math.pi / 2 / max(total - warmup, 1)
    for before, after in pairwise(rates):
        assert -steepest_fall - 1e-9 <= after - before <= steepest_rise + 1e-9


@pytest.mark.parametrize(("step", "total", "warmup"), [(-1, 10, 0), (11, 10, 0), (0, 10, 11)])
def test_steps_outside_the_run_are_refused(step: int, total: int, warmup: int) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        learning_rate(step, total, warmup, 1.0)
