"""The learning rate: end points, shape and refusals."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equimod.schedule import learning_rate, loss_weight


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


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0, 1, 2, 2, 2, 2, 2]),
        ("linear", [0, 1, 2, 1.75, 1.5, 1.25, 1]),
        ("cosine", [0, 1, 2] + [1.5 + math.cos(math.pi * k / 4) / 2 for k in (1, 2, 3, 4)]),
    ],
)
def test_the_weight_of_a_loss(schedule, expected: list[float]) -> None:
    found = [loss_weight(step, 6, 2, 2.0, 1.0, schedule) for step in range(7)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_edges_of_a_weights_schedule(schedule) -> None:
    # without warm-up it begins at the weight itself, and may go up from 0
    assert loss_weight(0, 5, 0, 0.3, 0.9, schedule) == pytest.approx(0.3)
    if schedule != "constant":
        assert loss_weight(5, 5, 0, 0.3, 0.9, schedule) == pytest.approx(0.9)
        rising = [loss_weight(k, 5, 0, 0.0, 1.0, schedule) for k in range(6)]
        assert rising == sorted(rising) and rising[0] == 0 and rising[-1] == pytest.approx(1)
    else:
        assert {loss_weight(k, 5, 0, 0.3, 0.9) for k in range(6)} == {0.3}
    assert loss_weight(4, 4, 4, 0.3, 0.9, schedule) == 0.3  # all of it is warm-up
    with pytest.raises(ValueError, match=r"step must lie in \[0, 5\], not 6"):
        loss_weight(6, 5, 0, 1.0, 0.0, schedule)
    with pytest.raises(ValueError, match="warmup_steps"):
        loss_weight(1, 5, 6, 1.0, 0.0, schedule)
