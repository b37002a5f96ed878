"""Measuring an encoder: accuracies, equivariance, and a picture of what it was shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from augspec import Pipeline, sizes_of
from equimod.codes import CodeReader
from equimod.config import EvaluationConfig
from equimod.data import (
    Batch,
    CorruptReport,
    DataError,
    ImageData,
    batches,
    require_one_size,
)
from equimod.data.draws import partners
from equimod.distributed import gather_rows
from equimod.evaluation import (
    Embedder,
    collapse_metrics,
    evaluate_head,
    evaluating,
    extract,
    knn_accuracy,
    linear_accuracies,
    probe,
    shuffled_gain,
)
from equimod.evaluation.collapse import MONITOR_IMAGES
from equimod.evaluation.features import first_images
from equimod.evaluation.images import Images, rows_of
from equimod.evaluation.rendered import TEST_EPOCH
from equimod.module import EquiMod
from equimod.report import ArmResult, ViewSamples

BATCH = 512


@dataclass(frozen=True)
class Bench:
    """What encoders are measured on; the same for all of a run.

    Attributes:
        train: the training split; k-NN and linear evaluation read its labels.
        test: the test split.
        pipeline: renders views, on `device`.
        reference: the view on which features are computed.
        views: the augmented views.
        config: what is measured.
        seed: of the classifiers and the probe.
        device: where encoders live.
        corrupt: collects the images of each split that could not be read.
        rank: of this process among those that share the work.
        world_size: how many these are.
        reader: what the heads of these arms read of codes; the codes themselves if None.
    """

    train: ImageData
    test: ImageData
    pipeline: Pipeline
    reference: str
    views: tuple[str, ...]
    config: EvaluationConfig
    seed: int
    device: torch.device
    corrupt: Mapping[str, CorruptReport]
    rank: int = 0
    world_size: int = 1
    reader: CodeReader | None = None

    def check(self) -> None:
        """Checks, before anything is computed, that the data suffice for what is asked for.

        Raises:
            DataError: they do not, or a view leaves images of different sizes so.
        """
        for data in (self.train, self.test):
            require_one_size(data, self.pipeline.plan, (self.reference, *self.views))
        probe, linear = self.config.probe, self.config.linear
        if probe is not None:
            rendered = min(probe.images, len(self.train)) * probe.renderings
            if rendered < probe.batch_size:
                raise DataError(
                    f"evaluation.probe.batch_size is {probe.batch_size}, but the probe has only "
                    f"{rendered} rendered training images: lower it, or set evaluation.probe=null"
                )
        for kind in self._labelled(self.train.labels, self.test.labels) if linear else ():
            labels = self.train.labels[:, kind]
            if len(labels[labels >= 0].unique()) < 2:
                raise DataError(
                    f"all training images have the same {self.train.label_names[kind]}, which a "
                    "linear classifier cannot learn: set evaluation.linear=null"
                )

    def encoder(
        self, name: str, encoder: nn.Module, tell: Callable[[str], None] = lambda _: None
    ) -> ArmResult:
        """Measures the features of a frozen encoder.

        Args:
            name: of the row in the table.
            encoder: images `(N, C, H, W)` to features `(N, F)`.
            tell: hears what is being measured.
        """
        metrics: dict[str, float] = {}
        tell("features")
        train, test = self._features(encoder, self.train), self._features(encoder, self.test)
        if self.config.knn is not None:
            tell("k-NN")
            metrics |= self._knn(train, test)
        if self.config.linear is not None:
            tell("linear evaluation")
            kinds = self._labelled(train[1], test[1])
            names = [self.train.label_names[k] for k in kinds]
            found = linear_accuracies(
                (train[0], train[1][:, kinds]),
                (test[0], test[1][:, kinds]),
                names,
                self.config.linear,
                seed=self.seed,
            )
            metrics |= {f"linear/{kind}": result.test_accuracy for kind, result in found.items()}
        if self.config.probe is not None:
            tell("equivariance probe")
            metrics |= self._probe(encoder)
        return ArmResult(name=name, seed=self.seed, metrics=metrics)

    def knn(self, encoder: nn.Module) -> dict[str, float]:
        """k-NN accuracies, the quick measure during training."""
        return self._knn(self._features(encoder, self.train), self._features(encoder, self.test))

    def collapse(
        self, encoder: nn.Module, attached: nn.Module, head: EquiMod | None
    ) -> dict[str, float]:
        """What a few test images say of features, and of the head's embeddings and predictions.

        The same images and draws each time, in eval mode; every process computes the same.

        Args:
            encoder: images `(N, C, H, W)` to features `(N, F)`.
            attached: images to what the head sees of them, see `Learner.attached`.
            head: the equivariance module, if there is one.
        """
        first = next(first_images(self._batches(self.test), MONITOR_IMAGES))
        images, ids = first.images.to(self.device), first.ids.to(self.device)
        modules = [encoder] if head is None else [encoder, head]
        with evaluating(*modules), torch.no_grad():
            originals = self.pipeline.apply(images, {self.reference: {}})[self.reference]
            features = encoder(originals)
            if head is None:
                return collapse_metrics(features)
            y0 = head.project(features if attached is encoder else attached(originals))
            if len(ids) < 2:  # there is no other image
                return collapse_metrics(features, y0)
            others = partners(len(ids), seed=self.seed, epoch=TEST_EPOCH).to(self.device)
            gain = shuffled_gain(self._embedder(attached, head), images, ids, y0, others)
        return collapse_metrics(features, y0, gain)

    def pixels(self) -> ArmResult:
        """k-NN on the raw pixels."""
        flat = nn.Flatten()
        metrics = self._knn(self._features(flat, self.train), self._features(flat, self.test))
        return ArmResult(name="raw pixels", metrics=metrics)

    def head(
        self, attached: nn.Module, head: EquiMod
    ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Measures an encoder's own equivariance head.

        Args:
            attached: images `(N, C, H, W)` to what the head sees of them: the encoder, or the part
                of it that the head was attached to.
            head: the equivariance module.

        Returns:
            The measures over all views, and those of each augmentation alone.
        """
        if self.config.equivariance is None:
            return {}, {}
        embedder = self._embedder(attached, head)
        found = evaluate_head(embedder, partial(self._batches, self.test), self.config.equivariance)
        single = {op: measures.metrics() for op, measures in found.per_augmentation.items()}
        return found.metrics(), single

    def _embedder(self, attached: nn.Module, head: EquiMod) -> Embedder:
        return Embedder(
            attached, head, self.pipeline, self.reference, self.views, self.device, self.reader
        )

    def samples(self, count: int = 4) -> ViewSamples:
        """A few test images with their views and codes, for the picture."""
        batch = next(iter(self._batches(self.test)))
        images = rows_of(batch.images, slice(count)).to(self.device)
        which = (batch.ids[:count].to(self.device), 0, sizes_of(images))
        drawn = self.pipeline.draw(*which)
        codes = {name: drawn[name] for name in (self.reference, *self.views)}
        params = self.pipeline.decode(codes, self.pipeline.seeds(*which), strict=None)
        views = {name: self._picture(x) for name, x in self.pipeline.apply(images, params).items()}
        originals = views[self.reference]  # where the images themselves have no common size
        if isinstance(images, Tensor):
            originals = images.permute(0, 2, 3, 1).cpu().numpy()
        return ViewSamples(
            images=originals,
            view_names=self.views,
            views=[views[name] for name in self.views],
            codes=[codes[name].cpu().numpy() for name in self.views],
            slot_names=self.pipeline.layouts[self.views[0]].column_names,
        )

    def _picture(self, view: Tensor) -> NDArray[np.generic]:
        """A view without its normalisation: `(n, H, W, C)` in [0, 1]."""
        mean, std = self.pipeline.mean, self.pipeline.std
        if mean is not None and std is not None:
            view = view * std + mean
        picture: NDArray[np.generic] = view.clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        return picture

    def _batches(self, data: ImageData, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
        return batches(
            data,
            rank=rank,
            world_size=world_size,
            batch_size=BATCH,
            seed=self.seed,
            epoch=0,
            shuffle=False,
            drop_last=False,
            report=self.corrupt[data.split],
        )

    def _features(self, encoder: nn.Module, data: ImageData) -> tuple[Tensor, Tensor]:
        def reference(images: Images) -> Tensor:
            view: Tensor = self.pipeline.apply(images, {self.reference: {}})[self.reference]
            return view

        # each process has its part of each batch, and none is padded: every sample counts once
        own = self._batches(data, self.rank, self.world_size)
        share = partial(gather_rows, device=self.device)
        features, labels = extract(encoder, own, reference, self.device, share)
        if not features.isfinite().all():
            raise FloatingPointError(
                f"the encoder's features of the {data.split} split are not finite: it has diverged"
            )
        return features, labels

    def _labelled(self, *labels: Tensor) -> list[int]:
        """The kinds of label that every split, given by its labels `(N, L)`, has."""
        kinds = range(len(self.train.label_names))
        return [k for k in kinds if all((known[:, k] >= 0).any() for known in labels)]

    def _knn(self, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> dict[str, float]:
        settings = self.config.knn
        if settings is None:
            return {}
        return {
            f"knn/{self.train.label_names[kind]}": knn_accuracy(
                train[0],
                train[1][:, kind],
                test[0],
                test[1][:, kind],
                k=settings.k,
                temperature=settings.temperature,
            )
            for kind in self._labelled(train[1], test[1])
        }

    def _probe(self, encoder: nn.Module) -> dict[str, float]:
        assert self.config.probe is not None
        return probe(
            encoder,
            partial(self._batches, self.train),
            partial(self._batches, self.test),
            self.pipeline,
            self.config.probe,
            seed=self.seed,
            device=self.device,
            reference=self.reference,
            views=self.views,
        ).metrics()
