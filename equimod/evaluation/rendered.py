"""The equivariance measures on rendered views: overall, for each augmentation, and retrieval.

All draws are stateless functions of (seed, epoch, sample id), so the epochs below, far beyond those
of any training run, give every encoder the same test views, and none that it was trained on.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor

from augspec import DocumentModel
from equimod.evaluation.embedder import Drawn, Embedder
from equimod.evaluation.equivariance import (
    EquivarianceMeasures,
    RetrievalMeasures,
    equivariance_measures,
    retrieval,
)
from equimod.evaluation.features import BatchSource, ImageBatch, first_images
from equimod.evaluation.images import rows_of

if TYPE_CHECKING:
    from augspec import Layout


class RetrievalConfig(DocumentModel):
    """Finding a view, from its code, among random views of the same image."""

    images: int = Field(default=256, ge=1)
    """At most how many test images are used, from the start of the split."""

    candidates: int = Field(default=16, ge=2)
    """Among how many views of its image a prediction has to find its own."""


class EquivarianceConfig(DocumentModel):
    """How well a head predicts on the test split."""

    per_augmentation: bool = True
    """Whether each augmentation is also measured acting alone."""

    retrieval: RetrievalConfig | None = RetrievalConfig()
    """The ranks of predictions; null leaves them out."""


TEST_EPOCH = 2**32 - 1
"""The epoch of the draws for the measures: the last that a counter of 32 bits can hold."""

RETRIEVAL_EPOCH = 2**32 - 2
"""The epoch of the first of the K draws for retrieval; the others count down from here."""


class _Collected:
    """Collects what `equivariance_measures` needs over batches."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, ...]] = []

    def add(self, embedder: Embedder, drawn: Drawn, view: str, code: Tensor, rows: Tensor) -> None:
        """Embeds and predicts the chosen rows `(B,)` bool of one view."""
        y0, code = drawn.y0[rows], code[rows]
        images = rows_of(drawn.images, rows)
        y = embedder.embed(images, view, code)
        yhat = embedder.predict(y0, images, view, code)
        parts = (y0, y, yhat, ~_acts(code), drawn.ids[rows])
        self._parts.append(tuple(part.cpu() for part in parts))

    def measures(self) -> EquivarianceMeasures:
        """The measures over all rows added.

        Raises:
            ValueError: nothing was added.
        """
        if not self._parts:
            raise ValueError("no images to measure on: the split is empty")
        return equivariance_measures(*(torch.cat(part) for part in zip(*self._parts, strict=True)))


def measure(
    embedder: Embedder, batches: Iterable[ImageBatch], *, epoch: int = TEST_EPOCH
) -> EquivarianceMeasures:
    """The measures over a split, all augmented views pooled.

    Args:
        embedder: the encoder, its head and the pipeline.
        batches: the split, normally the test split.
        epoch: which draws; the default belongs to no training run.

    Raises:
        ValueError: there are no batches.
    """
    collected = _Collected()
    with embedder.frozen():
        for drawn in embedder.drawn(batches, epoch):
            everyone = torch.ones_like(drawn.y0[:, 0], dtype=torch.bool)
            for view in embedder.views:
                collected.add(embedder, drawn, view, drawn.codes[view], everyone)
    return collected.measures()


def per_augmentation(
    embedder: Embedder, batches: Iterable[ImageBatch], *, epoch: int = TEST_EPOCH
) -> dict[str, EquivarianceMeasures]:
    """The measures for each augmentation acting alone.

    Each draw's code is kept in the columns of one op and set to zero, the identity, in all others
    (a combinator with columns of its own, such as an order, is measured with all that it holds);
    the view is rendered from that masked code, and predicted from it. Samples on which the op did
    not act are left out. All views that have the op are pooled. A head may never have seen such
    codes: where an op acts on every training view, its identity is at the edge of what the head
    knows.

    Args:
        embedder: the encoder, its head and the pipeline.
        batches: the split, normally the test split.
        epoch: which draws; the default belongs to no training run.

    Returns:
        The measures by op id, in the order in which the ops act; ops that never acted are missing.
    """
    layouts = embedder.pipeline.layouts
    ops = tuple(dict.fromkeys(op for view in embedder.views for op in layouts[view].ops))
    collected: dict[str, _Collected] = defaultdict(_Collected)
    with embedder.frozen():
        for drawn in embedder.drawn(batches, epoch):
            for op, view in itertools.product(ops, embedder.views):
                masked = {view: only(drawn.codes[view], layouts[view], op)}
                # an order of ops that are all gone, say, has no effect, and then no code
                params = embedder.pipeline.decode(masked, strict=None)
                code = embedder.pipeline.encode(params)[view]
                rows = _acts(code)
                if rows.any():
                    collected[op].add(embedder, drawn, view, code, rows)
    return {op: collected[op].measures() for op in ops if op in collected}


def only(code: Tensor, layout: Layout, op: str) -> Tensor:
    """`code` `(B, E)` with every column set to zero but those of `op`."""
    masked = torch.zeros_like(code)
    if op in layout.ops:
        columns = layout.columns(op)
        masked[:, columns] = code[:, columns]
    return masked


def measure_retrieval(
    embedder: Embedder,
    batches: Iterable[ImageBatch],
    *,
    config: RetrievalConfig,
) -> RetrievalMeasures:
    """Retrieval of a view, from its code, among random views of the same image.

    Each image gets `config.candidates` draws of the first augmented view; each draw's prediction is
    ranked among the embeddings of all of them.

    Args:
        embedder: the encoder, its head and the pipeline.
        batches: the split, normally the test split; read once.
        config: how many images and candidates.

    Raises:
        ValueError: there are no batches.
    """
    view = embedder.views[0]
    taken = list(first_images(batches, config.images))
    y, yhat = [], []
    if not taken:
        raise ValueError("no images to measure on: the split is empty")
    with embedder.frozen():
        for draw in range(config.candidates):
            for drawn in embedder.drawn(taken, RETRIEVAL_EPOCH - draw):
                y.append(embedder.embed(drawn.images, view, drawn.codes[view]))
                yhat.append(embedder.predict(drawn.y0, drawn.images, view, drawn.codes[view]))
    y_kn, yhat_kn = (torch.cat(part).unflatten(0, (config.candidates, -1)) for part in (y, yhat))
    return retrieval(yhat_kn.transpose(0, 1), y_kn.transpose(0, 1))


@dataclass(frozen=True)
class EquivarianceResult:
    """All that is measured of one head.

    Attributes:
        measures: EquiMod's measures, all augmentations together.
        retrieval: ranks of predictions; None if left out.
        per_augmentation: the measures of each op acting alone, by op id; empty if left out.
    """

    measures: EquivarianceMeasures
    retrieval: RetrievalMeasures | None
    per_augmentation: dict[str, EquivarianceMeasures]

    def metrics(self, prefix: str = "equivariance/") -> dict[str, float]:
        """The numbers by name, those of single augmentations left out."""
        ranks = self.retrieval.metrics(prefix + "retrieval_") if self.retrieval else {}
        return self.measures.metrics(prefix) | ranks


def evaluate_head(
    embedder: Embedder, test: BatchSource, config: EquivarianceConfig
) -> EquivarianceResult:
    """Measures a head on the test split.

    Args:
        embedder: the encoder, its head and the pipeline.
        test: gives passes over the test split.
        config: what to measure.

    Raises:
        ValueError: the split is empty.
    """
    return EquivarianceResult(
        measures=measure(embedder, test()),
        retrieval=(
            measure_retrieval(embedder, test(), config=config.retrieval)
            if config.retrieval
            else None
        ),
        per_augmentation=per_augmentation(embedder, test()) if config.per_augmentation else {},
    )


def _acts(code: Tensor) -> Tensor:
    """`(B,)` bool: which codes `(B, E)` are not the identity."""
    return (code != 0).any(dim=1)
