"""Boxes and grids of holes, against their definitions pixel by pixel."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from augspec.kernels.masks import box_mask, grid_mask


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_a_box_holds_its_pixels_and_no_other() -> None:
    boxes = [(2, 3, 4, 5), (-2, 6, 5, 9), (0, 0, 7, 8), (3, 3, 0, 4), (9, 9, 2, 2)]
    mask = box_mask(*torch.tensor(boxes, dtype=torch.float64).unbind(1), (7, 8))
    assert mask.shape == (5, 1, 7, 8)
    for got, (top, left, height, width) in zip(mask[:, 0], boxes, strict=True):
        expected = torch.zeros(7, 8, dtype=torch.bool)
        expected[max(top, 0) : top + height, max(left, 0) : left + width] = True
        assert torch.equal(got, expected)
    assert mask.flatten(1).sum(1).tolist() == [20, 6, 56, 0, 0]


@given(
    unit=st.floats(0.7, 30),
    ratio=st.floats(0, 0.99),
    y=st.floats(-1, 1),
    x=st.floats(-1, 1),
)
def test_a_pixel_is_erased_where_its_centre_lies_in_a_hole(
    unit: float, ratio: float, y: float, x: float
) -> None:
    (mask,) = grid_mask(column(unit), column(ratio), column(y), column(x), (9, 11))[:, 0].unbind(0)
    for i in range(9):
        for j in range(11):
            places = ((i + 0.5) / unit - y) % 1, ((j + 0.5) / unit - x) % 1
            if min(abs(p - edge) for p in places for edge in (0, ratio, 1)) < 1e-9:
                continue  # on the rim of a hole, rounding decides
            assert mask[i, j].item() == all(p < ratio for p in places)


def test_a_grid_of_whole_pixels_is_the_papers() -> None:
    mask = grid_mask(column(4), column(0.5), column(0.25), column(0), (8, 8))[0, 0]
    rows = torch.tensor([0, 1, 1, 0, 0, 1, 1, 0], dtype=torch.bool)
    columns = torch.tensor([1, 1, 0, 0, 1, 1, 0, 0], dtype=torch.bool)
    assert torch.equal(mask, rows[:, None] & columns)


@given(st.integers(-(2**21), 2**21), st.floats(1, 30), st.floats(0.05, 0.95))
def test_offsets_a_unit_apart_are_one_grid_bit_for_bit(k: int, unit: float, ratio: float) -> None:
    offset = k / 2**22
    first, second = (
        grid_mask(column(unit), column(ratio), column(o), column(-o), (32, 33))
        for o in (offset, offset - math.copysign(1, offset))
    )
    assert torch.equal(first, second)


def test_holes_take_the_square_of_their_ratio() -> None:
    generator = torch.Generator().manual_seed(0)
    offsets = torch.rand(2, 4000, generator=generator, dtype=torch.float64)
    ratio = torch.full((4000,), 0.4, dtype=torch.float64)
    mask = grid_mask(ratio * 20, ratio, *offsets, (32, 32))
    assert abs(mask.double().mean().item() - 0.16) < 0.002
