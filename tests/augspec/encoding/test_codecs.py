"""The laws of codecs, over their whole ranges."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from augspec.encoding.codecs import Angle, Bit, Category, Codec, Linear, Log, Order

RANGES: list[tuple[Codec, float, float, float]] = [  # codec, identity, low, high
    (Linear(), 0.0, -4.0, 4.0),
    (Linear(1.0), 1.0, 0.0, 4.0),
    (Linear(0.5), 0.5, 0.0, 1.0),
    (Log(), 1.0, 1e-3, 1.0),
    (Bit(), 0.0, 0.0, 1.0),
    (Angle(), 0.0, -0.5, 0.5),
]
EVERY = pytest.mark.parametrize(("codec", "identity", "low", "high"), RANGES)


@EVERY
def test_identity_is_zero(codec: Codec, identity: float, low: float, high: float) -> None:
    one = torch.tensor([identity], dtype=torch.float64)
    assert torch.equal(codec.encode(one), torch.zeros(1, codec.width, dtype=torch.float64))
    assert torch.equal(codec.decode(torch.zeros(1, codec.width)), one)


@EVERY
@given(data=st.data())
def test_round_trips(
    codec: Codec, identity: float, low: float, high: float, data: st.DataObject
) -> None:
    value = torch.tensor(
        data.draw(st.lists(st.floats(low, high), min_size=1, max_size=20)), dtype=torch.float64
    )
    code = codec.encode(value)
    assert code.shape == (len(value), codec.width)
    exact = codec.decode(code)
    apart = (exact - value).abs()
    if isinstance(codec, Angle):
        apart = torch.minimum(apart, (1 - apart).abs())
    assert (apart < 1e-9).all()

    single = code.float()
    decoded = codec.decode(single)
    assert decoded.dtype == torch.float64
    again = codec.decode(codec.encode(decoded).float())
    assert torch.equal(again, decoded)
    if not isinstance(codec, Angle):
        assert torch.equal(codec.encode(decoded).float(), single)


@EVERY
def test_gradients(codec: Codec, identity: float, low: float, high: float) -> None:
    inside = torch.linspace(low, high, 7, dtype=torch.float64)[1:-1].requires_grad_()
    assert torch.autograd.gradcheck(codec.encode, (inside,))
    code = codec.encode(inside.detach()).requires_grad_()
    assert torch.autograd.gradcheck(codec.decode, (code,))


def test_angle_is_exact_at_the_half_turn_and_finer_than_its_grid() -> None:
    codec = Angle()
    halves = codec.encode(torch.tensor([0.5, -0.5], dtype=torch.float64))
    assert torch.equal(halves[0], halves[1])
    assert not torch.signbit(halves[:, 0]).any()
    assert codec.decode(halves.float())[0] == 0.5
    turns = (torch.arange(-(2**21) + 1, 2**21 + 1, 97).double()) / Angle.GRID
    assert torch.equal(codec.decode(codec.encode(turns).float()), turns)
    sine, versin = codec.encode(turns).unbind(-1)
    torch.testing.assert_close(sine, (2 * math.pi * turns).sin(), rtol=0, atol=1e-14)
    torch.testing.assert_close(versin, 1 - (2 * math.pi * turns).cos(), rtol=0, atol=1e-14)


def test_every_order_has_its_own_precedences() -> None:
    codec = Order()
    index = torch.arange(24, dtype=torch.float64)
    code = codec.encode(index)
    assert len({tuple(row.tolist()) for row in code}) == 24
    assert set(code.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(codec.decode(code.float()), index)
    # hue, saturation, contrast, brightness: every later step comes first
    assert (codec.encode(torch.tensor([23.0])) == -1).all()


def test_steps_without_precedence_come_last() -> None:
    codec = Order()
    only_0_after_2 = torch.tensor([[0.0, -1.0, 0.0, 0.0, 0.0, 0.0]])  # pair 0<2 is -1
    permutation = codec.permutation(codec.decode(only_0_after_2))
    assert permutation.tolist() == [[2, 0, 1, 3]]


CATEGORY = Category(4, ("red", "green", "blue"))


def test_a_category_is_one_hot_and_its_identity_is_zero() -> None:
    options = torch.arange(4, dtype=torch.float64)
    code = CATEGORY.encode(options)
    assert torch.equal(code[0], torch.zeros(3, dtype=torch.float64))
    assert torch.equal(code[1:], torch.eye(3, dtype=torch.float64))
    decoded = CATEGORY.decode(code.float())
    assert decoded.dtype == torch.float64
    assert torch.equal(decoded, options)
    assert torch.equal(CATEGORY.encode(decoded), code)
    assert CATEGORY.columns == ("red", "green", "blue")
    assert CATEGORY.width == 3
    assert Category(3).columns == ("1", "2")


@given(noise=st.lists(st.floats(-0.49, 0.49), min_size=12, max_size=12))
def test_a_category_decodes_to_the_column_nearest_to_one(noise: list[float]) -> None:
    options = torch.arange(4, dtype=torch.float64)
    code = CATEGORY.encode(options) + torch.tensor(noise, dtype=torch.float64).reshape(4, 3)
    assert torch.equal(CATEGORY.decode(code), options)


def test_a_made_up_category_code_decodes_to_some_option() -> None:
    code = torch.tensor([[0.4, 0.4, 0.4], [1.7, 0.9, 0.0], [1.9, 0.4, 0.0], [-3.0, 0.5, 0.0]])
    assert CATEGORY.decode(code).tolist() == [0, 2, 1, 2]
    code.requires_grad_()
    assert not CATEGORY.decode(code).requires_grad


@pytest.mark.parametrize(
    ("options", "labels", "words"),
    [
        (1, (), "at least 2 options, got 1"),
        (4, ("red", "green"), "need 3 different labels"),
        (4, ("red", "green", "red"), "need 3 different labels"),
    ],
)
def test_categories_that_make_no_sense(options: int, labels: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Category(options, labels)
