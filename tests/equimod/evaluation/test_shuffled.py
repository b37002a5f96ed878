"""The loss of predictions with other images' codes, against sums made one by one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import augspec
from equimod.evaluation import Embedder, gain_over_shuffled, shuffled_gain
from equimod.evaluation.rendered import TEST_EPOCH

SPEC = """\
version: 1
name: views
normalize: {mean: [0.5], std: [0.25]}
views:
  original: {ops: []}
  first: &view
    ops:
      - {op: resized_crop, size: 8, area: [0.4, 1.0]}
      - {op: color_jitter, brightness: 0.4, contrast: 0.4}
  second: *view
"""
OTHERS = torch.tensor([2, 0, 5, 1, 3, 4])


def distance(a: Tensor, b: Tensor) -> float:
    a, b = a.double(), b.double()
    return 1 - float(a @ b / math.sqrt(float(a @ a) * float(b @ b)))


def test_it_is_the_ratio_of_mean_cosine_distances_less_one() -> None:
    g = torch.Generator().manual_seed(0)
    y, yhat, wrong = torch.randn(3, 9, 5, generator=g)
    means = [sum(distance(a, b) for a, b in zip(y, x, strict=True)) / 9 for x in (wrong, yhat)]
    assert gain_over_shuffled(y, yhat, wrong) == pytest.approx(means[0] / means[1] - 1, rel=1e-9)
    scales = torch.rand(9, 1, generator=g) + 0.1  # cosines know no lengths
    scaled = gain_over_shuffled(y, scales * yhat, 7 * wrong)
    assert scaled == pytest.approx(means[0] / means[1] - 1, rel=1e-6)
    assert gain_over_shuffled(y, wrong, yhat) == pytest.approx(means[1] / means[0] - 1, rel=1e-9)


def test_equal_predictions_gain_nothing_not_even_rounding() -> None:
    g = torch.Generator().manual_seed(0)
    y, yhat = torch.randn(2, 50, 7, generator=g)
    assert gain_over_shuffled(y, yhat, yhat.clone()) == 0
    assert gain_over_shuffled(y, y, y) == 0  # nor where they leave nothing to gain
    near = y + 1e-6 * yhat
    assert gain_over_shuffled(y, near, y) == 0  # less than float32 can tell
    assert math.isnan(gain_over_shuffled(y, yhat / 0, yhat))


class Linear(nn.Module):
    """A head whose prediction adds a multiple of the code's image under a fixed matrix."""

    def __init__(self, width: int, strength: float) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(1)
        self.strength = strength
        self.read = torch.randn(width, 12, generator=g)
        self.down = torch.randn(192, 12, generator=g)

    def project(self, features: Tensor) -> Tensor:
        return features @ self.down

    def predict(self, reference: Tensor, code: Tensor) -> Tensor:
        return reference + self.strength * code @ self.read


@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_it_is_that_of_all_views_one_by_one(strength: float) -> None:
    pipeline = augspec.compile(augspec.loads(SPEC), seed=5)
    head = Linear(pipeline.layouts["first"].width, strength)
    embedder = Embedder(nn.Flatten(), head, pipeline, "original", ("first", "second"))
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 8, 8), generator=g, dtype=torch.uint8)
    ids = torch.tensor([4, 9, 2, 7, 0, 3])
    right, wrong = [], []
    for row, other in enumerate(OTHERS):
        one = pipeline(images[row : row + 1], ids=ids[row : row + 1], epoch=TEST_EPOCH)
        theirs = pipeline.draw(ids[other : other + 1], TEST_EPOCH, (8, 8))
        y0 = head.project(one.views["original"].flatten(1))
        for view in ("first", "second"):
            (y,) = head.project(one.views[view].flatten(1))
            for codes, found in ((one.codes, right), (theirs, wrong)):
                found.append(distance(y, head.predict(y0, codes[view])[0]))
    expected = sum(wrong) / sum(right) - 1
    y0 = head.project(pipeline(images, ids=ids, epoch=0).views["original"].flatten(1))
    found = shuffled_gain(embedder, images, ids, y0, OTHERS)
    assert found == pytest.approx(expected, rel=1e-4)
    assert (found == 0) == (strength == 0)
