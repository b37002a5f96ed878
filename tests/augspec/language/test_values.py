from __future__ import annotations

from typing import Annotated

import pytest
import torch
from scipy import stats

from augspec import DocumentModel, SpecError, loads_model
from augspec.language.values import Choice, Constant, LogUniform, Normal, Uniform, Value
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
    ],
)
def test_draws_have_the_declared_distribution(value: Value, reference: stats.rv_frozen) -> None:
    drawn = value.sample(U)
    assert stats.kstest(drawn.numpy(), reference.cdf).statistic < 1e-3
    assert drawn.min() >= value.low and drawn.max() <= value.high
    assert (drawn.diff() >= 0).all()  # the inverse of a CDF rises


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
        ("factor", "[-1, 2]", "1:9", "[0, inf)"),
        ("factor", "-0.1", "1:9", ">= 0"),
        ("hue", "0.6", "1:6", "<= 0.5"),
        ("area", "[0, 1]", "1:7", "(0, 1]"),
    ],
)
def test_mistakes_name_the_place(field: str, text: str, place: str, words: str) -> None:
    with pytest.raises(SpecError) as error:
        read(field, text)
    assert f"<string>:{place}: error:" in str(error.value)
    assert words in str(error.value)
