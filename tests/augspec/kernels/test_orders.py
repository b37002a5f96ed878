"""Orders that precedences leave open."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from augspec.encoding.codecs import Order
from augspec.kernels.orders import lexicographic_rank, linear_extension


def by_hand(before: set[tuple[int, int]], rank: list[int]) -> list[int]:
    """The first order by rank, out of all that keep the precedences."""
    orders = itertools.permutations(range(len(rank)))
    kept = [o for o in orders if all(o.index(i) < o.index(j) for i, j in before)]
    return list(min(kept, key=lambda order: [(rank[k], k) for k in order]))


@st.composite
def precedences(draw: st.DrawFn) -> tuple[int, set[tuple[int, int]], list[int]]:
    """Precedences that go in no circle: all along some hidden order."""
    count = draw(st.integers(1, 5))
    hidden = draw(st.permutations(range(count)))
    pairs = [(hidden[i], hidden[j]) for i, j in itertools.combinations(range(count), 2)]
    before = {pair for pair in pairs if draw(st.booleans())}
    return count, before, draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))


@given(drawn=st.lists(precedences(), min_size=1, max_size=4))
def test_the_first_order_by_rank_that_keeps_all_precedences(
    drawn: list[tuple[int, set[tuple[int, int]], list[int]]],
) -> None:
    for count in {count for count, _, _ in drawn}:
        batch = [(before, rank) for n, before, rank in drawn if n == count]
        table = torch.zeros(len(batch), count, count, dtype=torch.bool)
        for row, (before, _) in enumerate(batch):
            for i, j in before:
                table[row, i, j] = True
        order = linear_extension(table, torch.tensor([rank for _, rank in batch]))
        assert order.tolist() == [by_hand(before, rank) for before, rank in batch]


def test_a_circle_still_gives_every_thing_once() -> None:
    before = torch.zeros(1, 4, 4, dtype=torch.bool)
    for i, j in ((0, 1), (1, 2), (2, 0), (0, 3)):
        before[0, i, j] = True
    order = linear_extension(before, torch.tensor([[0, 1, 2, 3]]))
    assert sorted(order[0].tolist()) == [0, 1, 2, 3]
    assert order[0].tolist().index(0) < order[0].tolist().index(3)


def test_ranks_compare_the_first_key_that_differs() -> None:
    keys = torch.tensor([[[1.0, 5.0], [0.0, 9.0], [1.0, 4.0], [0.0, 9.0]]])
    assert lexicographic_rank(keys).tolist() == [[3, 0, 2, 0]]
    assert lexicographic_rank(torch.zeros(2, 3, 0)).tolist() == [[0, 0, 0]] * 2


@given(drawn=precedences())
def test_a_code_of_some_precedences_has_the_same_code_again(
    drawn: tuple[int, set[tuple[int, int]], list[int]],
) -> None:
    """Whatever pairs of steps commute: what is decoded keeps every precedence that there is."""
    count, before, _ = drawn
    codec = Order(count)
    seen = torch.zeros(1, count, count, dtype=torch.bool)
    for i, j in before:
        seen[0, i, j] = seen[0, j, i] = True
    code = torch.tensor(
        [[float((i, j) in before) - float((j, i) in before) for i, j in codec.pairs]]
    )
    decoded = codec.decode(code)
    assert torch.equal(codec.seen(codec.encode(decoded), seen).float(), code)
    # what is said of no pair comes last
    free = [k for k in range(count) if not any(k in pair for pair in before)]
    assert codec.permutation(decoded)[0].tolist()[count - len(free) :] == free


def test_orders_of_the_most_steps_decode_to_themselves() -> None:
    codec = Order(Order.MOST)
    index = torch.randint(0, 2**52, (64,), generator=torch.Generator().manual_seed(0)).double()
    index = index.clamp_max(codec.orders - 1)
    assert torch.equal(codec.decode(codec.encode(index).float()), index)
