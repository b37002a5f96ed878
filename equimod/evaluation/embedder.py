"""An encoder with a head, as the equivariance measures see them: it embeds and predicts views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from augspec import sizes_of
from equimod.evaluation.features import ImageBatch, evaluating, filled
from equimod.evaluation.images import Images

if TYPE_CHECKING:
    from augspec import Pipeline
    from equimod.codes import CodeReader


class Head(Protocol):
    """The part of `equimod.module.EquiMod` that the measures use."""

    def project(self, features: Tensor) -> Tensor:
        """Features `(N, F)` to embeddings y `(N, D)`."""

    def predict(self, reference: Tensor, code: Tensor) -> Tensor:
        """Embeddings of originals `(N, D)` and codes `(N, E)` to predictions `(N, D)`."""


@dataclass(frozen=True)
class Embedder:
    """What is measured: an encoder and its head, and the views that they embed and predict.

    Attributes:
        encoder: maps views `(B, C, H, W)` to what the head projects `(B, F)`: the features, or what
            the layer gives that the head is attached to.
        head: projects features and predicts embeddings.
        pipeline: renders the views.
        reference: the view that is the original.
        views: the augmented views; their codes have one layout.
        device: where encoder, head and pipeline are.
        reader: what the head reads of a canonical code; the code itself if None.
    """

    encoder: nn.Module
    head: Head
    pipeline: Pipeline
    reference: str
    views: tuple[str, ...]
    device: torch.device | str = "cpu"
    reader: CodeReader | None = None

    def embed(self, images: Images, view: str, code: Tensor) -> Tensor:
        """Embeddings `(B, D)` float32 of the view with this code `(B, E)`, which is not checked."""
        params = self.pipeline.decode({view: code}, strict=None)
        rendered = self.pipeline.apply(images, params)[view]
        return self.head.project(self.encoder(rendered)).float()

    def predict(self, y0: Tensor, images: Images, view: str, code: Tensor) -> Tensor:
        """Predictions `(B, D)` float32 of a view from its original.

        Args:
            y0: embeddings of the originals `(B, D)`.
            images: the originals.
            view: the view's name.
            code: its canonical code `(B, C)`.
        """
        if self.reader is not None:
            code = self.reader.one(view, code, sizes_of(images), images)
        return self.head.predict(y0, code).float()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Eval mode for encoder and head, and no gradients."""
        modules = [m for m in (self.encoder, self.head) if isinstance(m, nn.Module)]
        with evaluating(*modules), torch.no_grad():
            yield

    def drawn(self, batches: Iterable[ImageBatch], epoch: int) -> Iterator[Drawn]:
        """Draws the codes of each batch and embeds its reference view."""
        for batch in filled(batches):
            images, ids = batch.images.to(self.device), batch.ids.to(self.device)
            codes = self.pipeline.draw(ids, epoch, sizes_of(images))
            y0 = self.embed(images, self.reference, codes[self.reference])
            yield Drawn(images, ids, codes, y0)


@dataclass(frozen=True)
class Drawn:
    """One batch with its draws.

    Attributes:
        images: the originals, `(B, C, H, W)` uint8 or ragged.
        ids: which images these are, `(B,)` int64.
        codes: codes `(B, E)` by view.
        y0: embeddings of the reference view `(B, D)`.
    """

    images: Images
    ids: Tensor
    codes: dict[str, Tensor]
    y0: Tensor
