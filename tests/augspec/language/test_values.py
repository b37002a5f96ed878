from __future__ import annotations

from typing import Annotated

import pytest
import torch
from scipy import stats

from augspec import DocumentModel, SpecError, loads_model
from augspec.kernels.beta import beta_quantile
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
from augspec.language.within import Within

U = (torch.arange(20001, dtype=torch.float64) + 0.5) / 20001


class Box(DocumentModel):
    free: Annotated[Value, Within()] = Constant(0.0)
    factor: Annotated[Value, Within(0.0, spread_around=1.0)] = Uniform(1.0, 1.0)
    hue: Annotated[Value, Within(-0.5, 0.5, spread_around=0.0)] = Uniform(0.0, 0.0)
    area: Annotated[Value, Within(0.0, 1.0, open_low=True)] = Constant(1.0)


def read(field: str, text: str) -> Value:
    return getattr(loads_model(Box, f"{field}: {text}"), field)


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        (Uniform(0.2, 1.0), stats.uniform(0.2, 0.8)),
        (LogUniform(0.75, 4 / 3), stats.loguniform(0.75, 4 / 3)),
        (Normal(0.0, 1.0, -1.0, 2.0), stats.truncnorm(-1, 2)),
        (Normal(0.0, 1.0, 6.0, 7.5), stats.truncnorm(6, 7.5)),
        (Normal(0.0, 1.0, -7.5, -6.0), stats.truncnorm(-7.5, -6)),
        (Beta(2.0, 0.5), stats.beta(2.0, 0.5)),
        (Beta(0.2, 0.2, -1.0, 3.0), stats.beta(0.2, 0.2, -1.0, 4.0)),
    ],
)
def test_draws_have_the_declared_distribution(value: Value, reference: stats.rv_frozen) -> None:
    drawn = value.sample(U)
    assert stats.kstest(drawn.numpy(), reference.cdf).statistic < 1e-3
    assert drawn.min() >= value.low and drawn.max() <= value.high
    assert (drawn.diff() >= 0).all()  # the inverse of a CDF rises


SHAPES = (0.05, 0.1, 0.4, 1.0, 2.5, 10.0, 50.0, 100.0)


@pytest.mark.parametrize("alpha", SHAPES)
def test_beta_quantiles_are_accurate(alpha: float) -> None:
    tails = 2.0 ** -torch.arange(1, 34, dtype=torch.float64)  # down to the generator's smallest
    u = torch.cat([U[::10], tails, 1 - tails])
    for beta in SHAPES:
        exact = torch.from_numpy(stats.beta.ppf(u.numpy(), alpha, beta))
        found = beta_quantile(u, alpha, beta)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, exact, rtol=0, atol=1e-8)
        # a draw depends on its uniform alone, whatever the shape
        few = beta_quantile(u[:4].reshape(2, 2), alpha, beta)
        torch.testing.assert_close(few.flatten(), found[:4], rtol=1e-12, atol=0)


def test_beta_quantiles_stay_in_range_at_the_ends() -> None:
    ends = torch.tensor([0.0, 1e-300, 5e-324, 1 - 2.0**-53, 1.0], dtype=torch.float64)
    for alpha in SHAPES:
        for beta in SHAPES:
            found = beta_quantile(ends, alpha, beta)
            assert found[0] == 0 and found[-1] == 1
            assert ((found >= 0) & (found <= 1)).all()
    stretched = Beta(0.1, 0.1, 0.3, 0.7).sample(ends)
    assert stretched.min() == 0.3 and stretched.max() == 0.7


@pytest.mark.parametrize(
    "value", [Linspace(0.0, 30.0, 31), Linspace(-0.3, 1.1, 7), Linspace(2.0, 2.0, 3)]
)
def test_linspace_draws_evenly_spaced_numbers_with_both_ends(value: Linspace) -> None:
    count = 1000 * value.num
    drawn = value.sample((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    numbers = torch.linspace(value.low, value.high, value.num, dtype=torch.float64)
    torch.testing.assert_close(drawn, numbers.repeat_interleave(1000), rtol=0, atol=1e-14)
    assert (drawn.min().item(), drawn.max().item()) == (value.low, value.high)
    assert value.sample(torch.ones(1, dtype=torch.float64)).item() == value.high


def test_choice_and_constant() -> None:
    value = Choice((3.0, 1.0, 2.0), (1.0, 0.0, 3.0))
    drawn = value.sample(U)
    assert (value.low, value.high) == (1.0, 3.0)
    assert abs((drawn == 3).double().mean() - 0.25) < 1e-3
    assert not (drawn == 1).any()
    assert (Constant(0.3).sample(U) == 0.3).all()


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("free", "3", Constant(3.0)),
        ("free", "[1, 2]", Uniform(1.0, 2.0)),
        ("free", "{log_uniform: [1e-3, 1]}", LogUniform(1e-3, 1.0)),
        ("free", "{normal: {mean: 0, std: 1, low: -1, high: 1}}", Normal(0.0, 1.0, -1.0, 1.0)),
        ("free", "{choice: [1, 2]}", Choice((1.0, 2.0), (1.0, 1.0))),
        ("free", "{choice: [1, 2], weights: [1, 3]}", Choice((1.0, 2.0), (1.0, 3.0))),
        ("free", "{beta: {alpha: 2, beta: 5}}", Beta(2.0, 5.0)),
        ("area", "{beta: {alpha: 2, beta: 0.5, low: 0.2}}", Beta(2.0, 0.5, 0.2, 1.0)),
        ("free", "{beta: {alpha: 1, beta: 1, low: -1, high: 9}}", Beta(1.0, 1.0, -1.0, 9.0)),
        ("free", "{linspace: [0, 30, 31]}", Linspace(0.0, 30.0, 31)),
        ("factor", "{linspace: [0.1, 1.9, 2]}", Linspace(0.1, 1.9, 2)),
        ("factor", "0.4", Uniform(0.6, 1.4)),
        ("factor", "1.5", Uniform(0.0, 2.5)),
        ("factor", "[1.4, 1.4]", Uniform(1.4, 1.4)),
        ("hue", "0.1", Uniform(-0.1, 0.1)),
    ],
)
def test_reading_and_round_trip(field: str, text: str, value: Value) -> None:
    assert read(field, text) == value
    box = Box(**{field: value})
    assert Box.model_validate_json(box.model_dump_json()) == box


def test_a_constant_factor_is_not_read_back_as_a_spread() -> None:
    box = Box(factor=Constant(1.4))
    assert Box.model_validate_json(box.model_dump_json()) == box
    assert box.factor.low == box.factor.high == 1.4


@pytest.mark.parametrize(
    ("field", "text", "place", "words"),
    [
        ("free", "abc", "1:7", "must be a number"),
        ("free", "true", "1:7", "must be a number"),
        ("free", "[1, 2, 3]", "1:7", "two numbers"),
        ("free", "[2, 1]", "1:7", "low must not exceed high"),
        ("free", "{log_uniforn: [1, 2]}", "1:7", "did you mean 'log_uniform'"),
        ("free", "{log_uniform: [0, 2]}", "1:21", "0 < low"),
        ("free", "{normal: {mean: 0, std: 0, low: 0, high: 1}}", "1:16", "std > 0"),
        ("free", "{choice: []}", "1:16", "at least one"),
        ("free", "{choice: [1], weights: [0]}", "1:30", "positive sum"),
        ("free", "{choice: [1], wieghts: [0]}", "1:30", "did you mean 'weights'"),
        ("free", "{beta: {alpha: 2}}", "1:14", "the numbers alpha and beta"),
        ("free", "{beta: [2, 5]}", "1:14", "beta needs {alpha, beta}"),
        ("free", "{beta: {alpha: 2, betta: 5}}", "1:32", "did you mean 'beta'"),
        ("free", "{beta: {alpha: 2, beta: 5, mean: 1}}", "1:40", "allowed: alpha, beta"),
        ("free", "{beta: {alpha: 0, beta: 5}}", "1:22", "alpha must lie in [0.05, 100], got 0"),
        ("free", "{beta: {alpha: 2, beta: 200}}", "1:31", "beta must lie in [0.05, 100]"),
        ("free", "{beta: {alpha: 2, beta: 5, low: 1}}", "1:14", "low 1 and high 1"),
        ("area", "{beta: {alpha: 2, beta: 5}}", "1:7", "(0, 1]"),
        ("free", "{linspace: [0, 1]}", "1:18", "[low, high, num]"),
        ("free", "{linspace: [1, 0, 5]}", "1:18", "low must not exceed high"),
        ("free", "{linspace: [0, 1, 1]}", "1:25", "a whole number from 2, got 1"),
        ("free", "{linspace: [0, 1, 2.5]}", "1:25", "a whole number from 2, got 2.5"),
        ("free", "{linspase: [0, 1, 5]}", "1:7", "did you mean 'linspace'"),
        ("free", "{linspace: [0, 1, 5], weights: [1]}", "1:38", "unknown field 'weights'"),
        ("free", "{linspace: [0, 1, 5], choice: [1]}", "1:7", "{linspace: [low, high, num]}"),
        ("area", "{linspace: [0, 1, 5]}", "1:7", "(0, 1]"),
        ("factor", "[-1, 2]", "1:9", "[0, inf)"),
        ("factor", "-0.1", "1:9", ">= 0"),
        ("hue", "0.6", "1:6", "<= 0.5"),
        ("area", "[0, 1]", "1:7", "(0, 1]"),
        ("free", "9" * 320, "1:7", "an integer of 320 digits is too large"),
    ],
)
def test_mistakes_name_the_place(field: str, text: str, place: str, words: str) -> None:
    with pytest.raises(SpecError) as error:
        read(field, text)
    assert f"<string>:{place}: error:" in str(error.value)
    assert words in str(error.value)


def test_every_form_is_named_where_none_is_found() -> None:
    with pytest.raises(SpecError) as error:
        read("free", "{gauss: 1}")
    for name in ("log_uniform", "normal", "beta", "choice", "linspace"):
        assert f"{{{name}: " in str(error.value)


def test_the_json_schema_knows_every_form() -> None:
    forms = Box.model_json_schema()["properties"]["area"]["anyOf"]
    objects = {form["required"][0]: form["properties"] for form in forms if "required" in form}
    assert set(objects) == {"log_uniform", "normal", "beta", "choice", "linspace"}
    beta = objects["beta"]["beta"]
    assert beta["required"] == ["alpha", "beta"]
    assert beta["properties"]["alpha"] == {"type": "number", "minimum": 0.05, "maximum": 100.0}
    assert beta["properties"]["high"] == {"type": "number", "exclusiveMinimum": 0.0, "maximum": 1.0}
    low, high, num = objects["linspace"]["linspace"]["prefixItems"]
    assert low == high == beta["properties"]["high"]
    assert num == {"type": "integer", "minimum": 2}
