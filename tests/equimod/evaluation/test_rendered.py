"""The measures on rendered views, with heads whose right answers are known."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import augspec
from equimod.evaluation import rendered
from equimod.evaluation.embedder import Embedder
from equimod.evaluation.rendered import (
    EquivarianceConfig,
    RetrievalConfig,
    evaluate_head,
    measure,
    measure_retrieval,
    only,
    per_augmentation,
)

SPEC = """
version: 1
name: test
image: {size: 32}
views:
  original: {ops: []}
  first: &view
    ops:
      - {op: resized_crop, size: 32, area: [0.3, 1.0]}
      - {op: horizontal_flip, p: 0.5}
      - {op: color_jitter, p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
      - {op: grayscale, p: 0.2}
  second: *view
"""
VIEWS = ("first", "second")


@pytest.fixture(scope="module")
def pipeline() -> augspec.Pipeline:
    return augspec.compile(augspec.loads(SPEC), seed=3)


@pytest.fixture(scope="module")
def images(cifar10_folder: Path) -> Tensor:
    table = pq.read_table(cifar10_folder / "test-00000-of-00001.parquet").slice(0, 48)
    column = "img" if "img" in table.column_names else "image"
    pictures = [Image.open(io.BytesIO(cell["bytes"])) for cell in table[column].to_pylist()]
    return torch.stack([torch.from_numpy(np.array(p.convert("RGB"))) for p in pictures]).permute(
        0, 3, 1, 2
    )


def split(images: Tensor, size: int = 20) -> Iterator[SimpleNamespace]:
    ids = torch.arange(len(images))
    for rows in ids.split(size):
        labels = torch.zeros(len(rows), 1, dtype=torch.int64)
        yield SimpleNamespace(images=images[rows], labels=labels, ids=rows)


class FlipHead(nn.Module):
    """Embeddings are pixels; knows what a flip does and takes all else for the identity."""

    def __init__(self, columns: slice) -> None:
        super().__init__()
        self.columns = columns

    def project(self, features: Tensor) -> Tensor:
        return features

    def predict(self, reference: Tensor, code: Tensor) -> Tensor:
        flipped = reference.view(-1, 3, 32, 32).flip(3).flatten(1)
        return torch.where(code[:, self.columns] > 0.5, flipped, reference)


class KnowingHead(nn.Module):
    """Embeddings are pixels; predicts by rendering the code."""

    def __init__(self, pipeline: augspec.Pipeline) -> None:
        super().__init__()
        self.pipeline = pipeline

    def project(self, features: Tensor) -> Tensor:
        return features

    def predict(self, reference: Tensor, code: Tensor) -> Tensor:
        params = self.pipeline.decode({"first": code})
        return self.pipeline.apply(reference.view(-1, 3, 32, 32), params)["first"].flatten(1)


def embedder(pipeline: augspec.Pipeline, head: nn.Module) -> Embedder:
    return Embedder(nn.Flatten(), head, pipeline, "original", VIEWS)


def test_each_augmentation_acts_alone(pipeline: augspec.Pipeline, images: Tensor) -> None:
    layout = pipeline.layouts["first"]
    head = FlipHead(layout.columns("horizontal_flip"))
    found = per_augmentation(embedder(pipeline, head), split(images))
    assert list(found) == ["resized_crop", "horizontal_flip", "color_jitter", "grayscale"]
    flip = found.pop("horizontal_flip")
    assert flip.cos_prediction == pytest.approx(1, abs=1e-6)  # nothing but the flip was rendered
    assert flip.absolute == pytest.approx(1 - flip.cos_identity, abs=1e-6)
    for measures in found.values():  # nothing but the op was in the code
        assert measures.absolute == 0 and measures.cos_identity < 1 - 1e-4


def test_samples_on_which_an_op_did_not_act_are_left_out(
    pipeline: augspec.Pipeline, images: Tensor
) -> None:
    codes = pipeline.draw(torch.arange(len(images)), rendered.TEST_EPOCH, (32, 32))
    layout = pipeline.layouts["first"]
    found = per_augmentation(embedder(pipeline, KnowingHead(pipeline)), split(images))
    for op, measures in found.items():
        acted = sum(int((codes[v][:, layout.columns(op)] != 0).any(1).sum()) for v in VIEWS)
        assert measures.samples == acted
    assert 0.3 < found["horizontal_flip"].samples / (2 * len(images)) < 0.7
    assert found["resized_crop"].samples == 2 * len(images)


def test_a_head_that_knows_everything(pipeline: augspec.Pipeline, images: Tensor) -> None:
    whole = embedder(pipeline, KnowingHead(pipeline))
    measures = measure(whole, split(images))
    assert measures.samples == 2 * len(images)
    assert measures.cos_prediction == pytest.approx(1, abs=1e-6)
    assert measures.relative > 1e3
    ranks = measure_retrieval(whole, split(images), config=RetrievalConfig(images=30, candidates=5))
    assert (ranks.mrr, ranks.hit_at_1) == (1, 1)
    assert (ranks.candidates, ranks.queries) == (5, 150)


def test_a_head_that_predicts_the_original(pipeline: augspec.Pipeline, images: Tensor) -> None:
    none = embedder(pipeline, FlipHead(slice(0, 0)))
    none.head.predict = lambda reference, code: reference  # type: ignore[method-assign]
    measures = measure(none, split(images))
    assert (measures.absolute, measures.absolute_error) == (0, 0)
    assert measures.relative == measures.relative_mean == measures.relative_median == 1


def test_batches_do_not_matter(pipeline: augspec.Pipeline, images: Tensor) -> None:
    head = embedder(pipeline, FlipHead(pipeline.layouts["first"].columns("horizontal_flip")))
    config = EquivarianceConfig(retrieval=RetrievalConfig(images=21, candidates=3))
    one = evaluate_head(head, lambda: split(images, 48), config)
    other = evaluate_head(head, lambda: split(images, 7), config)
    assert one.metrics() == pytest.approx(other.metrics(), rel=1e-9)
    assert one.per_augmentation.keys() == other.per_augmentation.keys()
    for op, measures in one.per_augmentation.items():
        expected = other.per_augmentation[op].metrics()
        assert measures.metrics() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert {"equivariance/absolute", "equivariance/retrieval_mrr"} < one.metrics().keys()


def test_what_is_switched_off_is_left_out(pipeline: augspec.Pipeline, images: Tensor) -> None:
    head = embedder(pipeline, KnowingHead(pipeline))
    config = EquivarianceConfig(per_augmentation=False, retrieval=None)
    result = evaluate_head(head, lambda: split(images), config)
    assert result.retrieval is None and result.per_augmentation == {}
    assert "equivariance/retrieval_mrr" not in result.metrics()


def test_only_keeps_the_columns_of_one_op(pipeline: augspec.Pipeline) -> None:
    layout = pipeline.layouts["first"]
    code = torch.arange(1.0, 1 + layout.width)[None]
    columns = layout.columns("color_jitter")
    masked = only(code, layout, "color_jitter")
    assert torch.equal(masked[:, columns], code[:, columns])
    assert masked.count_nonzero() == columns.stop - columns.start
    assert not only(code, layout, "solarize").any()


def test_an_empty_split_is_refused(pipeline: augspec.Pipeline) -> None:
    head = embedder(pipeline, KnowingHead(pipeline))
    with pytest.raises(ValueError, match="the split is empty"):
        measure(head, [])
    with pytest.raises(ValueError, match="the split is empty"):
        measure_retrieval(head, [], config=RetrievalConfig())
    assert per_augmentation(head, []) == {}


def test_ops_inside_combinators_are_measured_alone_and_an_order_with_all_it_orders(
    images: Tensor,
) -> None:
    text = """
version: 1
name: t
views:
  original: {ops: []}
  first: &view
    ops:
      - {op: one_of, ops: [{op: horizontal_flip}, {op: solarize}]}
      - {op: random_order, ops: [{op: color_jitter, brightness: 0.4}, {op: grayscale, p: 0.5}]}
  second: *view
"""
    pipeline = augspec.compile(augspec.loads(text))
    head = FlipHead(pipeline.layouts["first"].columns("one_of.horizontal_flip"))
    found = per_augmentation(embedder(pipeline, head), split(images))
    assert list(found) == [
        "one_of.horizontal_flip",
        "one_of.solarize",
        "random_order",
        "random_order.color_jitter",
        "random_order.grayscale",
    ]
    flip = found["one_of.horizontal_flip"]
    assert flip.cos_prediction == pytest.approx(1, abs=1e-6)  # nothing but the flip was rendered
    assert flip.samples < found["random_order"].samples  # some samples had solarize instead
