"""All orders of a few steps, and the orders of all their codes, written out to be looked up."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from augspec.encoding.codecs import Order

MOST_STEPS = 4
"""Of four steps there are 24 orders and 729 codes."""


@dataclass(frozen=True)
class OrderTables:
    """What the methods of `Order` give for whatever they can be asked.

    Attributes:
        orders: `(orders, count)` int64, by index, see `Order.permutation`.
        places: `(orders, count)` int64, by index, see `Order.position`.
        codes: `(orders, width)` float64, by index, see `Order.encode`.
        seen: `(orders 2**count, width)` float64, see `Order.encode_seen`.
        indices: `(3**width,)` float64, see `Order.decode`.
        powers: `(width,)` float64, by which the columns of a code find its row of `indices`.
        bits: `(count,)` float64, by which acting steps find their row of `seen`.
        middle: the row of `indices` of the code of zeros.
    """

    orders: Tensor
    places: Tensor
    codes: Tensor
    seen: Tensor
    indices: Tensor
    powers: Tensor
    bits: Tensor
    middle: int


@lru_cache(maxsize=64)
def order_tables(order: Order, device: torch.device) -> OrderTables:
    """The tables of a codec; copying them to a GPU makes the host wait, which happens once."""
    orders = order.unranked(torch.arange(order.orders))
    places = orders.argsort(dim=-1)
    codes = order.precedences(places)
    acting = torch.tensor(list(itertools.product((False, True), repeat=order.count)))
    each = codes.repeat_interleave(len(acting), dim=0)
    seen = order.unseen(each, acting.reshape(-1, order.count).repeat(len(codes), 1))
    whole = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=order.width)))
    indices = order.first_order(whole.double().reshape(-1, order.width))
    powers, bits = (
        torch.tensor([base**k for k in reversed(range(n))], dtype=torch.float64)
        for base, n in ((3.0, order.width), (2.0, order.count))
    )
    return OrderTables(
        orders=orders.to(device),
        places=places.to(device),
        codes=codes.to(device),
        seen=seen.to(device),
        indices=indices.to(device),
        powers=powers.to(device),
        bits=bits.to(device),
        middle=len(indices) // 2,
    )
