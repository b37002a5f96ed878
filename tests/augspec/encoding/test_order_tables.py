"""Orders looked up in tables are those that the rules give."""

from __future__ import annotations

import math

import pytest
import torch

from augspec.encoding.codecs import Order
from augspec.encoding.order_tables import MOST_STEPS, order_tables

COUNTS = pytest.mark.parametrize("count", range(2, MOST_STEPS + 1))
ODD = torch.tensor([-3.0, 1e9, 0.4, 1.6, math.nan, math.inf], dtype=torch.float64)
"""Indices that there are not; the nearest one counts."""


def by_rule(order: Order, value: torch.Tensor) -> torch.Tensor:
    index = value.round().long().clamp(0, order.orders - 1)
    return order.precedences(order.unranked(index).argsort(dim=-1))


@COUNTS
def test_orders_and_their_codes(count: int) -> None:
    order = Order(count)
    value = torch.cat([torch.arange(order.orders).double(), ODD])
    index = value.round().long().clamp(0, order.orders - 1)
    assert torch.equal(order.permutation(value), order.unranked(index))
    assert torch.equal(order.position(value), order.unranked(index).argsort(dim=-1))
    code = order.encode(value)
    assert code.dtype == torch.float64
    assert torch.equal(code, by_rule(order, value))
    acting = torch.arange(2**count)[:, None] // 2 ** torch.arange(count) % 2 > 0
    for own in acting:
        each = own.expand(len(value), count)
        assert torch.equal(order.encode_seen(value, each), order.unseen(code, each))


@COUNTS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_codes_decode_to_the_first_order_that_agrees(count: int, dtype: torch.dtype) -> None:
    order = Order(count)
    code = torch.randn(500, order.width, generator=torch.Generator().manual_seed(0)).to(dtype)
    code[0], code[1, 0], code[2] = math.nan, math.inf, 0.0
    whole = code.double().round().clamp(-1, 1)
    assert torch.equal(order.decode(code), order.first_order(whole))
    assert order.decode(code)[2] == 0


def test_tables_are_made_once_and_more_steps_have_none() -> None:
    cpu = torch.device("cpu")
    assert order_tables(Order(3), cpu) is order_tables(Order(3), cpu)
    more = Order(MOST_STEPS + 1)
    value = torch.arange(more.orders).double()
    assert torch.equal(more.encode(value), by_rule(more, value))
    assert torch.equal(more.decode(more.encode(value)), value)
