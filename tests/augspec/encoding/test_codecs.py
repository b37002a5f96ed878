"""The laws of codecs, over their whole ranges."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from augspec.encoding.codecs import Angle, Bit, Category, Codec, Linear, Log, Order, Uncoded

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


PARTS = st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8)


@EVERY
@given(parts=PARTS)
def test_a_part_of_the_way(
    codec: Codec, identity: float, low: float, high: float, parts: list[float]
) -> None:
    value = torch.linspace(low, high, 8, dtype=torch.float64)
    s = torch.tensor(parts, dtype=torch.float64)
    single = codec.encode(codec.decode(codec.encode(value).float())).float()
    none = codec.toward(single, torch.zeros_like(s))
    assert not none.any() and not torch.signbit(none).any()
    assert torch.equal(codec.toward(single, torch.ones_like(s)), single)
    found = codec.toward(single, s)
    assert found.dtype == torch.float32
    decoded = codec.decode(found)
    if isinstance(codec, Angle):  # of others, a tiny part may vanish beside 1
        assert torch.equal(codec.encode(decoded).float(), found)
    whole = codec.decode(single)
    if isinstance(codec, Log):
        expected = whole**s
    elif isinstance(codec, Bit):
        expected = torch.where(s > 0.5, whole, 0.0)
    else:
        expected = identity + s * (whole - identity)
    torch.testing.assert_close(decoded, expected, rtol=2e-7, atol=3e-7)
    between = codec.encode(value[1:-1]).requires_grad_()  # a half turn has two shorter ways
    inside = (s[1:-1] * 0.4 + 0.55).requires_grad_()
    assert torch.autograd.gradcheck(codec.toward, (between, inside))


def test_an_angle_goes_the_shorter_way() -> None:
    codec, s = Angle(), torch.tensor([0.5, 0.5, 0.5], dtype=torch.float64)
    code = codec.encode(torch.tensor([0.75, -0.4, 0.5], dtype=torch.float64))
    found = codec.decode(codec.toward(code.float(), s))
    torch.testing.assert_close(found, torch.tensor([-0.125, -0.2, 0.25], dtype=torch.float64))


def test_a_jump_is_just_after_one_half() -> None:
    s = torch.tensor([0.0, 0.5, 0.5 + 1e-15, 1.0], dtype=torch.float64)
    one = torch.ones(4, 1)
    assert Bit().toward(one, s)[:, 0].tolist() == [0, 0, 1, 1]
    options = CATEGORY.encode(torch.full((4,), 2.0)).float()
    assert CATEGORY.decode(CATEGORY.toward(options, s)).tolist() == [0, 0, 2, 2]
    order = Order().encode(torch.full((4,), 13.0)).float()
    assert torch.equal(Order().toward(order, s), order)
    assert Uncoded().toward(torch.zeros(4, 0), s).shape == (4, 0)


ALL_CODECS: list[Codec] = [c for c, *_ in RANGES] + [Category(4), Category(2), Order(), Order(2)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("codec", ALL_CODECS)
@given(seed=st.integers(0, 2**31), spread=st.sampled_from([0.3, 3.0, 1e3, 1e30]))
def test_the_nearest_columns_stand_for_a_parameter(
    codec: Codec, dtype: torch.dtype, seed: int, spread: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    code = (spread * torch.randn(50, codec.width, generator=generator)).to(dtype)
    nearest = codec.nearest(code)
    assert nearest.dtype == dtype and nearest.shape == code.shape
    torch.testing.assert_close(codec.nearest(nearest), nearest, rtol=0, atol=1e-12)
    value = codec.decode(nearest)
    assert value.isfinite().all()
    if not isinstance(codec, Order):  # a code need not place every pair
        normal = nearest > -708  # a float64 below e**-708 has few digits
        apart = (codec.encode(value) - nearest.double()).abs()
        assert (apart <= 1e-6 * (1 + nearest.abs()))[normal].all()


@EVERY
@given(data=st.data())
def test_what_is_encoded_is_nearest_to_itself(
    codec: Codec, identity: float, low: float, high: float, data: st.DataObject
) -> None:
    if isinstance(codec, Bit):
        low, high = 0.0, float(data.draw(st.integers(0, 1)))
        value = torch.tensor([low, high], dtype=torch.float64)
    else:
        value = torch.tensor(data.draw(st.lists(st.floats(low, high), min_size=1)))
    for code in (codec.encode(value.double()), codec.encode(value.double()).float()):
        apart = (codec.nearest(code) - code).abs()
        assert (apart <= codec.slack / 40).all()


def test_bits_and_angles_go_to_the_nearest() -> None:
    bits = torch.tensor([[-0.3], [0.5], [0.51], [7.0]])
    assert Bit().nearest(bits).tolist() == [[0], [0], [1], [1]]
    assert not torch.signbit(Bit().nearest(bits)).any()
    # the middle of the circle; twice and half as far out as a quarter turn and an eighth
    points = torch.tensor([[0.0, 1.0], [2.0, 1.0], [0.5 * 0.5**0.5, 1 - 0.5 * 0.5**0.5]])
    turns = Angle().decode(Angle().nearest(points))
    torch.testing.assert_close(turns, torch.tensor([0, 1 / 4, 1 / 8]).double(), rtol=0, atol=3e-7)
    extreme = torch.tensor([-1e6, 1e6, 709.0, -744.0])[:, None]
    found = Log().decode(Log().nearest(extreme))
    assert ((found > 0) & found.isfinite()).all()
    assert torch.equal(Log().nearest(extreme)[2:], extreme[2:])


def test_precedences_are_valid_where_some_order_agrees() -> None:
    """All codes of four steps, against all orders of them."""
    codec = Order()
    codes = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * codec.width)
    orders = codec.encode(torch.arange(24.0)).float()
    agrees = ((codes[:, None] == orders) | (codes[:, None] == 0)).all(dim=-1).any(dim=-1)
    nearest = codec.nearest(codes)
    assert torch.equal((nearest == codes).all(dim=-1), agrees)
    assert 300 < agrees.sum() < 729
    again = ((nearest[:, None] == orders) | (nearest[:, None] == 0)).all(dim=-1).any(dim=-1)
    assert again.all()
    assert torch.equal(nearest == 0, codes == 0)  # what is not seen stays so
    assert torch.equal(codec.nearest(codes + 0.3), nearest)


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
