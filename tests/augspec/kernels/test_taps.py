"""The taps of windows into what a filter makes of a box: the rows of the weight matrices."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from augspec.kernels.opcodes import Filter
from augspec.kernels.resample import axis_weights
from augspec.kernels.taps import Taps, window_taps

DOUBLE = torch.float64
SMOOTH = (Filter.BILINEAR, Filter.BICUBIC)


def dense(taps: Taps, in_size: int) -> Tensor:
    """The matrices whose rows the taps are, `(B, n, in_size)` float32."""
    index = taps.starts.long().unsqueeze(2) + torch.arange(taps.weights.shape[1])
    weights = taps.weights.mT
    outside = (index < 0) | (index >= in_size)
    assert (weights[outside] == 0).all()
    found = torch.zeros(*taps.starts.shape, in_size)
    return found.scatter_add(2, index.clamp(0, in_size - 1), weights)


def whole(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


@given(st.data())
def test_the_taps_are_the_very_rows_of_the_weight_matrices(data: st.DataObject) -> None:
    side, out = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    edges = st.integers(0, side) if data.draw(st.booleans()) else st.floats(0, side)
    low, high = sorted(float(data.draw(edges)) for _ in range(2))
    if high - low < 0.05:
        low = max(high - 1.0, 0.0)
        high = min(low + 1.0, side)
    how = data.draw(st.sampled_from([Filter.NEAREST, *SMOOTH]))
    antialias = data.draw(st.booleans())
    box = torch.tensor([low], dtype=DOUBLE), torch.tensor([high], dtype=DOUBLE)
    expected = axis_weights(*box, side, out, how.name.lower(), antialias).float()  # type: ignore[arg-type]
    taps = window_taps(how, antialias, *box, side, out, whole([0]), whole([0]), out)
    # what a tap at the very end of a filter has of rounding, 1e-17, may be left out
    torch.testing.assert_close(dense(taps, side), expected, atol=1e-15, rtol=0)


@pytest.mark.parametrize("how", list(Filter), ids=lambda how: how.name.lower())
def test_windows_and_flips_choose_among_the_rows(how: Filter) -> None:
    """Seven windows of 9 into 20 rows, from far outside to far outside, mirrored or not."""
    side = 20 if how == Filter.COPY else 13
    corners = whole([-30, -5, 0, 7, 15, 40, 3]).repeat(2)
    flips = whole([0] * 7 + [1] * 7)
    low, high = torch.zeros(14, dtype=DOUBLE), torch.full((14,), float(side), dtype=DOUBLE)
    if how == Filter.COPY:
        rows = torch.eye(20)
    else:
        low, high = low + 1.5, high - 0.25
        mode = how.name.lower()
        rows = axis_weights(low[:1], high[:1], side, 20, mode, True)[0].float()  # type: ignore[arg-type]
    found = dense(window_taps(how, True, low, high, side, 20, corners, flips, 9), side)
    around = torch.cat([torch.zeros(40, side), rows, torch.zeros(40, side)])
    for own, corner, flipped in zip(found, corners.tolist(), flips.tolist(), strict=True):
        expected = around[40 + corner : 49 + corner]
        torch.testing.assert_close(own, expected.flip(0) if flipped else expected, atol=0, rtol=0)


def test_a_sample_counts_no_more_taps_than_its_own_box_has() -> None:
    low = torch.zeros(3, dtype=DOUBLE)
    high = torch.tensor([200.0, 60.0, 20.0], dtype=DOUBLE)
    none = whole([0, 0, 0])
    taps = window_taps(Filter.BILINEAR, True, low, high, 200, 20, none, none, 20)
    assert taps.counts.tolist() == [20, 5, 1]
    assert taps.weights.shape == (3, 20, 20)
    outside = window_taps(Filter.BILINEAR, True, low, high, 200, 20, none + 20, none, 20)
    assert outside.counts.eq(0).all() and outside.weights.eq(0).all()


def test_few_sizes_have_numbers_of_taps_of_their_own() -> None:
    def taps(side: int) -> int:
        low, high = torch.zeros(1, dtype=DOUBLE), torch.full((1,), float(side), dtype=DOUBLE)
        none = whole([0])
        return window_taps(Filter.BICUBIC, True, low, high, side, 8, none, none, 8).weights.shape[1]

    found = {side: taps(side) for side in range(8, 257)}
    assert all(side / 2 <= number < side / 2 * 1.25 + 1 for side, number in found.items())
    assert found[8] == 4 and found[256] == 128 and len(set(found.values())) <= 21


@pytest.mark.parametrize("how", [Filter.NEAREST, *SMOOTH], ids=lambda how: how.name.lower())
def test_no_number_makes_a_start_far_from_the_image(how: Filter) -> None:
    strange = [float("nan"), float("inf"), -float("inf"), -1e18, 1e18, 3.0]
    low, high = torch.tensor(list(itertools.product(strange, repeat=2)), dtype=DOUBLE).T
    none = torch.zeros(len(low), dtype=torch.int64)
    for antialias in (False, True):
        taps = window_taps(how, antialias, low, high, 7, 5, none, none, 5)
        assert (taps.starts.abs() <= 7).all()
        assert (taps.counts <= taps.weights.shape[1]).all()
