"""The equivariance probe: how much of the augmentation a fresh head can read from a frozen encoder.

It puts encoders beside each other that were trained without EquiMod, or not at all: each gets a new
EquiMod head, trained with the same small budget on the same rendered views of the training split,
and measured on the same views of the test split.

What the numbers mean. The cosines of `measures` live in an embedding space that each head learned
for itself, so they compare encoders only loosely: a head may crowd or spread its space as it likes,
which moves both cosines. A large gap, with cos(y, y0) at similar heights, suggests that one encoder
keeps more of the augmentation; small gaps mean nothing. The ranks of `retrieval` do not depend on
the space's scale and have a known chance level: compare encoders by those. Neither says how an
encoder's *own* EquiMod head does; measure that with `measure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor, nn

from augspec import DocumentModel, sizes_of
from equimod.evaluation.embedder import Embedder
from equimod.evaluation.equivariance import EquivarianceMeasures, RetrievalMeasures
from equimod.evaluation.features import BatchSource, evaluating, first_images, minibatches
from equimod.evaluation.rendered import RetrievalConfig, measure, measure_retrieval
from equimod.module import EquiMod

if TYPE_CHECKING:
    from augspec import Pipeline

PROBE_EPOCH = 2**31
"""The epoch of the first rendering that a probe is trained on, far beyond any training run's; the
others count up."""


class ProbeConfig(DocumentModel):
    """The post-hoc equivariance probe; every encoder of a comparison gets the same."""

    images: int = Field(default=4096, ge=2)
    """At most how many training images are used, from the start of the split."""

    renderings: int = Field(default=2, ge=1)
    """How often each training image is augmented; the features of all of them are kept."""

    steps: int = Field(default=300, ge=1)
    """Steps of Adam on the head; the encoder is frozen."""

    batch_size: int = Field(default=256, ge=2)
    """Images in a step."""

    lr: float = Field(default=1e-3, gt=0)
    """Learning rate of Adam, constant."""

    hidden: int = Field(default=512, ge=1)
    """Width of the hidden layers of the head's projector."""

    dim: int = Field(default=128, ge=1)
    """Width of the head's embeddings."""

    temperature: float = Field(default=0.2, gt=0)
    """Temperature of the head's contrastive loss."""

    retrieval: RetrievalConfig = RetrievalConfig()
    """The ranks of predictions, by which encoders are compared."""


@dataclass(frozen=True)
class ProbeResult:
    """What the probe of one encoder gave.

    Attributes:
        measures: EquiMod's measures on the test split, in the fresh head's own space.
        retrieval: ranks on the test split, comparable between encoders.
        losses: the training loss of every step.
    """

    measures: EquivarianceMeasures
    retrieval: RetrievalMeasures
    losses: tuple[float, ...]

    def metrics(self, prefix: str = "probe/") -> dict[str, float]:
        """The numbers by name."""
        return self.measures.metrics(prefix) | self.retrieval.metrics(prefix + "retrieval_")


class ProbeHead(nn.Module):
    """An EquiMod head on features brought to mean 0 and standard deviation 1.

    Encoders differ widely in the scale of their features; with that taken out, one learning rate
    suits all of them.

    Args:
        head: the head.
        features: features of the training split `(N, F)`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, head: EquiMod, features: Tensor) -> None:
        super().__init__()
        self.head = head
        std = features.std(dim=0, correction=0)
        self.register_buffer("mean", features.mean(dim=0))
        self.register_buffer("std", torch.where(std > 0, std, 1.0))

    def scaled(self, features: Tensor) -> Tensor:
        """Standardised features `(N, F)`."""
        return (features - self.mean) / self.std

    def project(self, features: Tensor) -> Tensor:
        """Features `(N, F)` to embeddings `(N, D)`."""
        return self.head.project(self.scaled(features))

    def predict(self, reference: Tensor, code: Tensor) -> Tensor:
        """Embeddings of originals `(N, D)` and codes `(N, E)` to predictions `(N, D)`."""
        return self.head.predict(reference, code)

    def loss(self, reference: Tensor, views: list[Tensor], codes: list[Tensor]) -> Tensor:
        """EquiMod's loss on raw features."""
        scaled = [self.scaled(view) for view in views]
        return self.head(self.scaled(reference), scaled, codes).loss


def probe(
    encoder: nn.Module,
    train: BatchSource,
    test: BatchSource,
    pipeline: Pipeline,
    config: ProbeConfig,
    *,
    reference: str,
    views: tuple[str, ...],
    seed: int,
    device: torch.device | str = "cpu",
) -> ProbeResult:
    """Trains a fresh head on a frozen encoder and measures it on the test split.

    Args:
        encoder: maps views `(B, C, H, W)` to features `(B, F)`; left unchanged.
        train: gives passes over the training split; its labels are not read.
        test: gives passes over the test split.
        pipeline: renders the views; on `device`.
        config: the budget.
        reference: the view that is the original.
        views: the augmented views; their codes have one layout.
        seed: decides the head's initial weights and the order of the samples.
        device: where the encoder is, and where the head is trained.

    Raises:
        ValueError: a split is empty, or the training split has fewer images than one batch.
    """
    cached = _cache(encoder, train, pipeline, (reference, *views), config, device)
    head = _fresh_head(cached.features[reference], pipeline.layouts[views[0]].width, config, seed)
    losses = _train(head, cached, reference, views, config, seed)
    embedder = Embedder(encoder, head, pipeline, reference, views, device)
    return ProbeResult(
        measures=measure(embedder, test()),
        retrieval=measure_retrieval(embedder, test(), config=config.retrieval),
        losses=losses,
    )


@dataclass(frozen=True)
class _Cached:
    """Features `(N, F)` and codes `(N, E)` of each view, N = images times renderings."""

    features: dict[str, Tensor]
    codes: dict[str, Tensor]


def _cache(
    encoder: nn.Module,
    train: BatchSource,
    pipeline: Pipeline,
    names: tuple[str, ...],
    config: ProbeConfig,
    device: torch.device | str,
) -> _Cached:
    """Renders the training images and keeps the features of these views."""
    features: dict[str, list[Tensor]] = {name: [] for name in names}
    codes: dict[str, list[Tensor]] = {name: [] for name in names}
    with evaluating(encoder), torch.no_grad():
        for rendering in range(config.renderings):
            for batch in first_images(train(), config.images):
                images, ids = batch.images.to(device), batch.ids.to(device)
                which = (ids, PROBE_EPOCH + rendering, sizes_of(images))
                drawn = pipeline.draw(*which)
                chosen = {name: drawn[name] for name in names}
                params = pipeline.decode(chosen, pipeline.seeds(*which), strict=None)
                views = pipeline.apply(images, params)
                for name in names:
                    features[name].append(encoder(views[name]).float())
                    codes[name].append(chosen[name])
    samples = sum(len(part) for part in features[names[0]])
    if samples < config.batch_size:
        raise ValueError(
            f"equivariance probe: {samples} rendered training images are fewer than its "
            f"batch_size, {config.batch_size}"
        )
    return _Cached(
        {name: torch.cat(parts) for name, parts in features.items()},
        {name: torch.cat(parts) for name, parts in codes.items()},
    )


def _fresh_head(features: Tensor, code_dim: int, config: ProbeConfig, seed: int) -> ProbeHead:
    """A head whose initial weights depend on the seed alone; the global generators keep state."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        head = EquiMod(
            features.shape[1],
            code_dim,
            hidden=config.hidden,
            dim=config.dim,
            temperature=config.temperature,
        )
    return ProbeHead(head.to(features.device), features)


def _train(
    head: ProbeHead,
    cached: _Cached,
    reference: str,
    views: tuple[str, ...],
    config: ProbeConfig,
    seed: int,
) -> tuple[float, ...]:
    """Trains the head in place; returns the loss of every step."""
    optimizer = torch.optim.Adam(head.parameters(), lr=config.lr)
    h0, h, codes = cached.features[reference], cached.features, cached.codes
    losses: list[Tensor] = []
    head.train()
    epoch = 0
    while len(losses) < config.steps:
        for rows in minibatches(len(h0), config.batch_size, seed=seed, epoch=epoch, drop_last=True):
            rows = rows.to(h0.device)
            loss = head.loss(h0[rows], [h[v][rows] for v in views], [codes[v][rows] for v in views])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            if len(losses) == config.steps:
                break
        epoch += 1
    return tuple(torch.stack(losses).tolist())
