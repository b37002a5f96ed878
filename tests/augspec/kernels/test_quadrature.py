"""The rules of distributions, against SciPy and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from augspec.kernels import quadrature
from augspec.language.values import (
    Beta,
    Choice,
    Constant,
    Linspace,
    LogUniform,
    Normal,
    Uniform,
    Value,
)

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "x": lambda x: x,
    "x^2": lambda x: x.square(),
    "log": torch.log,
    "log^2": lambda x: x.log().square(),
    "sin": lambda x: (2 * math.pi * x).sin(),
    "versin^2": lambda x: (1 - (2 * math.pi * x).cos()).square(),
}


def truncated(value: Normal) -> stats.rv_continuous:
    a, b = (value.low - value.mean) / value.std, (value.high - value.mean) / value.std
    return stats.truncnorm(a, b, loc=value.mean, scale=value.std)


CONTINUOUS: list[tuple[Value, stats.rv_continuous]] = [
    (Uniform(0.6, 1.4), stats.uniform(0.6, 0.8)),
    (Uniform(0.1, 2.0), stats.uniform(0.1, 1.9)),
    (LogUniform(0.75, 4 / 3), stats.loguniform(0.75, 4 / 3)),
    (LogUniform(0.08, 1.0), stats.loguniform(0.08, 1.0)),
    (normal := Normal(1.0, 0.3, 0.5, 1.2), truncated(normal)),
    (narrow := Normal(1.0, 0.01, 0.1, 5.0), truncated(narrow)),
    (Beta(0.4, 0.4, 0.5, 1.5), stats.beta(0.4, 0.4, 0.5, 1.0)),
    (Beta(0.5, 0.5, 0.5, 1.5), stats.beta(0.5, 0.5, 0.5, 1.0)),
    (Beta(1.0, 1.0, 0.2, 0.9), stats.beta(1.0, 1.0, 0.2, 0.7)),
    (Beta(8.0, 2.5, 0.1, 1.1), stats.beta(8.0, 2.5, 0.1, 1.0)),
]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("value", "reference"), CONTINUOUS, ids=lambda v: str(v)[:40])
def test_a_rule_gives_the_mean_of_a_function(
    value: Value, reference: stats.rv_continuous, function: str
) -> None:
    g = FUNCTIONS[function]
    rule = value.rule()
    assert rule is not None
    points, weights = rule
    assert weights.sum().item() == pytest.approx(1, abs=1e-12)
    assert ((points >= value.low) & (points <= value.high)).all()
    mean = (weights @ g(points)).item()

    # over the quantiles' own variable, where a density has no pole
    def integrand(u: float) -> float:
        return g(torch.tensor(float(reference.ppf(u)), dtype=torch.float64)).item()

    expected, _ = integrate.quad(integrand, 0, 1, epsabs=1e-11, limit=400)
    assert mean == pytest.approx(expected, abs=2e-8)


def test_moments_have_their_closed_forms() -> None:
    for value, mean, square in (
        (Uniform(-0.3, 0.9), 0.3, (0.9**3 + 0.3**3) / 3 / 1.2),
        (LogUniform(0.5, 2.0), 1.5 / math.log(4), (4 - 0.25) / 2 / math.log(4)),
        (Beta(2.0, 3.0), 0.4, 2 * 3 / (5 * 6)),
        (Constant(1.4), 1.4, 1.96),
        (Choice((0.0, 2.0), (1.0, 3.0)), 1.5, 3.0),
        (Linspace(0.0, 3.0, 4), 1.5, 3.5),
    ):
        rule = value.rule()
        assert rule is not None
        assert (rule[1] @ rule[0]).item() == pytest.approx(mean, rel=1e-12)
        assert (rule[1] @ rule[0].square()).item() == pytest.approx(square, rel=1e-12)


def test_a_beta_rule_of_n_points_is_exact_for_2n_moments() -> None:
    a, b, n = 0.3, 1.7, 6
    x, w = quadrature.beta(a, b, n)
    moment = 1.0
    for k in range(2 * n):
        assert (w @ x**k).item() == pytest.approx(moment, rel=1e-10)
        moment *= (a + k) / (a + b + k)


def test_a_normal_far_out_in_its_tail_has_no_rule() -> None:
    assert Normal(0.0, 1.0, 20.0, 21.0).rule() is None


def test_more_numbers_than_can_be_written_out_have_no_rule() -> None:
    many = Linspace(0.0, 1.0, 10**9)
    assert many.rule() is None
    assert many.can_be(1.0) and many.can_be(0.0) and not many.can_be(1.5)
    assert not many.can_be(0.5)  # half way between two of them
    for number in Linspace(-0.7, 0.3, 11).steps:
        assert Linspace(-0.7, 0.3, 11).can_be(number)


@pytest.mark.parametrize(
    ("value", "number", "can"),
    [
        (Constant(1.0), 1.0, True),
        (Uniform(0.5, 1.5), 1.0, False),
        (Uniform(1.0, 1.0), 1.0, True),
        (Choice((0.0, 1.0), (0.0, 1.0)), 0.0, False),
        (Choice((0.0, 1.0), (1.0, 1.0)), 0.0, True),
        (Linspace(-1.0, 1.0, 3), 0.0, True),
        (Linspace(1.0, 1.0, 5), 1.0, True),
        (Linspace(1.0, 1.0, 5), 0.5, False),
        (Linspace(-1.0, 1.0, 4), 0.0, False),
    ],
    ids=str,
)
def test_which_numbers_are_drawn_with_a_probability(value: Value, number: float, can: bool) -> None:
    assert value.can_be(number) is can
    # uniforms that hit no number of a continuous distribution by chance
    u = torch.linspace(0.01, 0.99, 50).double()
    assert bool((value.sample(u) == number).any()) is can
