from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from equimod.evaluation.equivariance import EPSILON, equivariance_measures, retrieval


def at(*degrees: float) -> Tensor:
    """Unit vectors in the plane."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_by_hand() -> None:
    # sample 1: y at 60, predicted at 60 + 60; sample 2: y at 90, predicted at 90 - 60
    y0, y, yhat = at(0, 0), at(60, 90), at(120, 30)
    m = equivariance_measures(2 * y0, 3 * y, 5 * yhat)  # lengths do not matter
    assert m.cos_prediction == pytest.approx(0.5)
    assert m.cos_identity == pytest.approx(0.25)
    assert m.absolute == pytest.approx(0.25)  # gains 0 and 0.5
    assert m.absolute_error == pytest.approx(0.25)  # (0.5 / sqrt 2) / sqrt 2
    assert m.relative == pytest.approx(0.75 / 0.5)
    assert m.relative_mean == pytest.approx((1.0 + 2.0) / 2)
    assert m.relative_median == pytest.approx(1.5)
    assert (m.samples, m.unmoved) == (2, 0)


def test_views_of_one_image_are_not_independent_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    y0, y, yhat = (torch.randn(40, 6, generator=generator) for _ in range(3))
    gain = torch.cosine_similarity(y, yhat) - torch.cosine_similarity(y, y0)
    alone = equivariance_measures(y0, y, yhat).absolute_error
    assert alone == pytest.approx(float(gain.std() / math.sqrt(40)), rel=1e-5)
    # the same sample twice says nothing new
    twice = [t.repeat(2, 1) for t in (y0, y, yhat)]
    ids = torch.arange(40).repeat(2)
    assert equivariance_measures(*twice, images=ids).absolute_error == pytest.approx(alone)
    assert equivariance_measures(*twice).absolute_error < 0.8 * alone
    # balanced pairs: the standard error over the means of the pairs
    pairs = gain.view(20, 2).mean(1)
    paired = equivariance_measures(y0, y, yhat, images=torch.arange(20).repeat_interleave(2))
    expected = float(pairs.std() / math.sqrt(20))
    assert paired.absolute_error == pytest.approx(expected, rel=1e-5)
    one = equivariance_measures(y0, y, yhat, images=torch.zeros(40).long())
    assert math.isnan(one.absolute_error)


def test_the_published_ratio_is_heavy_tailed_and_the_others_are_not() -> None:
    # nine useless predictions, which stay at y0, and one that misses by a hundredth of a degree
    y0, y = at(*[0.0] * 10), at(*[60.0] * 10)
    m = equivariance_measures(y0, y, at(*[0.0] * 9, 60.01))
    lucky = 0.5 / max(1 - math.cos(math.radians(0.01)), EPSILON)
    assert m.relative_mean == pytest.approx((9 + lucky) / 10, rel=1e-6)
    assert m.relative_mean > 1e4
    assert m.relative == pytest.approx(10 / 9, rel=1e-6)
    assert m.relative_median == pytest.approx(1.0)


def test_perfect_predictions_stay_finite() -> None:
    y0, y = at(0, 0, 0), at(10, 90, 180)
    m = equivariance_measures(y0, y, y)
    assert m.absolute == pytest.approx(1 - m.cos_identity)
    assert m.relative == pytest.approx((1 - m.cos_identity) / EPSILON)
    assert all(math.isfinite(v) for v in m.metrics().values())


def test_unmoved_samples_count_in_the_absolute_measure_only() -> None:
    y0, y, yhat = at(0, 0, 0), at(60, 90, 0), at(120, 30, 60)
    moved = equivariance_measures(y0[:2], y[:2], yhat[:2])
    for identity in (None, torch.tensor([False, False, True])):
        m = equivariance_measures(y0, y, yhat, identity)
        assert (m.samples, m.unmoved) == (3, 1)
        assert m.absolute == pytest.approx((0 + 0.5 - 0.5) / 3)
        assert m.relative == pytest.approx(moved.relative)
        assert m.relative_mean == pytest.approx(moved.relative_mean)
        assert m.relative_median == pytest.approx(moved.relative_median)


def test_nothing_moved_leaves_the_relative_measures_out() -> None:
    y0 = at(0, 30)
    m = equivariance_measures(y0, y0, at(10, 40))
    assert math.isnan(m.relative) and math.isnan(m.relative_mean)
    assert set(m.metrics("x/")) == {
        f"x/{name}"
        for name in (
            "absolute",
            "absolute_error",
            "cos_prediction",
            "cos_identity",
            "samples",
            "unmoved",
        )
    }


def test_small_distances_keep_their_digits() -> None:
    # 1 - cos of 1e-5 rad is 5e-11, far below what 1 - cos computed in float32 can see
    m = equivariance_measures(at(0), at(90), at(90 + math.degrees(1e-5)))
    assert 1 - m.cos_prediction == pytest.approx(5e-11, rel=1e-4)


@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3), (3, 3)), ((3,), (3,), (3,)), ((0, 3), (0, 3), (0, 3))]
)
def test_bad_shapes_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match=r"one shape \(N, D\) with N > 0, got"):
        equivariance_measures(*(torch.zeros(shape) for shape in shapes))


def test_retrieval_by_hand() -> None:
    candidates = at(0, 90, 180)[None]
    yhat = at(10, 10, 170)[None]  # ranks of the right one: 1, 2 and 1
    m = retrieval(yhat, candidates)
    assert m.mrr == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert m.hit_at_1 == pytest.approx(2 / 3)
    assert m.chance_mrr == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert (m.candidates, m.queries) == (3, 3)


@given(seed=st.integers(0, 10_000), k=st.integers(2, 9))
def test_retrieval_agrees_with_sorting(seed: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    yhat, y = (torch.randn(4, k, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    ranks = []
    for n in range(4):
        for q in range(k):
            order = torch.cosine_similarity(yhat[n, q][None], y[n]).argsort(descending=True)
            ranks.append(order.tolist().index(q) + 1)
    m = retrieval(yhat, y)
    assert m.mrr == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks))
    assert m.hit_at_1 == pytest.approx(ranks.count(1) / len(ranks))


def test_guessing_scores_chance() -> None:
    collapsed = retrieval(torch.ones(3, 16, 4), torch.ones(3, 16, 4))
    assert collapsed.mrr == pytest.approx(collapsed.chance_mrr, rel=1e-6)
    assert collapsed.hit_at_1 == pytest.approx(1 / 16)
    generator = torch.Generator().manual_seed(0)
    yhat, y = (torch.randn(500, 16, 8, generator=generator) for _ in range(2))
    assert retrieval(yhat, y).mrr == pytest.approx(collapsed.chance_mrr, abs=0.01)


def test_retrieval_refuses_bad_shapes() -> None:
    with pytest.raises(ValueError, match=r"one shape \(N, K, D\)"):
        retrieval(torch.zeros(2, 3, 4), torch.zeros(2, 4, 4))
