"""Features of a frozen encoder, computed once and kept, as k-NN and linear evaluation need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from equimod.evaluation.images import Images, rows_of


class ImageBatch(Protocol):
    """What the evaluation reads of a batch of a data set."""

    @property
    def images(self) -> Images:
        """Images `(B, C, H, W)` uint8, or ragged."""

    @property
    def labels(self) -> Tensor:
        """Labels `(B, L)` int64, one column for each kind; -1 where unknown."""

    @property
    def ids(self) -> Tensor:
        """Sample ids `(B,)` int64."""


BatchSource = Callable[[], Iterable[ImageBatch]]
"""Gives a fresh pass over a split, each sample once, in a fixed order."""


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Puts modules into eval mode and afterwards gives every submodule its own mode back."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def extract(
    encoder: nn.Module,
    batches: Iterable[ImageBatch],
    transform: Callable[[Images], Tensor],
    device: torch.device | str,
    gather: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Features and labels of a split, every sample once and in the order of the batches.

    A sample that comes a second time (a loader repeats one where a file cannot be read) is left
    out, so that no sample has two votes.

    Args:
        encoder: maps `(B, C, H, W)` to `(B, F)`; run in eval mode without gradients.
        batches: the split.
        transform: maps uint8 images, `(B, C, H, W)` or ragged, on `device` to the encoder's input.
        device: where the encoder lives.
        gather: where several processes have a part of each batch: makes of this process's rows
            `(n, F)` those of all. The order is then that of the ids.

    Returns:
        Features `(N, F)` float32 and labels `(N, L)` int64, both on the CPU. They are ordinary
        tensors: a classifier can be trained on them.

    Raises:
        ValueError: there are no batches.
    """
    features, labels, ids = [], [], []
    with evaluating(encoder), torch.inference_mode():
        for batch in filled(batches):
            features.append(encoder(transform(batch.images.to(device))).float().cpu())
            labels.append(batch.labels.cpu())
            ids.append(batch.ids.cpu())
    none = torch.empty(0, 0)
    # outside inference mode, so that autograd accepts the results
    x = torch.cat(features) if features else none
    y = torch.cat(labels) if features else none.long()
    which = torch.cat(ids) if features else none.long().view(0)
    if gather is not None:
        x, y, which = gather(x), gather(y), gather(which[:, None])[:, 0]
        order = which.argsort(stable=True)
        x, y, which = x[order], y[order], which[order]
    if not len(which):
        raise ValueError("no batches to extract features from: the split is empty")
    first = _first_occurrences(which)
    return x[first], y[first]


def _first_occurrences(ids: Tensor) -> Tensor:
    """The positions, in order, at which an id comes for the first time."""
    _, positions = np.unique(ids.numpy(), return_index=True)
    return torch.from_numpy(np.sort(positions))


def filled(batches: Iterable[ImageBatch]) -> Iterator[ImageBatch]:
    """The batches that hold any image: of a last batch, all may be corrupt."""
    return (batch for batch in batches if len(batch.ids))


@dataclass(frozen=True)
class _Slice:
    """The first samples of a batch."""

    images: Images
    labels: Tensor
    ids: Tensor


def first_images(batches: Iterable[ImageBatch], count: int) -> Iterator[ImageBatch]:
    """The batches up to `count` images, the last one cut to fit."""
    for batch in filled(batches):
        images = rows_of(batch.images, slice(count))
        yield _Slice(images, batch.labels[:count], batch.ids[:count])
        count -= len(batch.ids)
        if count <= 0:
            return


def labelled(x: Tensor, y: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """The samples whose label is known (not -1).

    Args:
        x: features `(N, F)`.
        y: labels `(N,)`.
        what: the split's name, for the error.

    Raises:
        ValueError: sizes do not match, no label is known, or a feature is not finite.
    """
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(
            f"{what}: features must be (N, F) and labels (N,), got {tuple(x.shape)} and "
            f"{tuple(y.shape)}"
        )
    known = y >= 0
    if not known.any():
        raise ValueError(f"{what}: none of the {len(y)} samples has a label")
    if not torch.isfinite(x).all():
        raise ValueError(f"{what}: features hold NaN or infinity; the encoder has diverged")
    return x[known], y[known]


def minibatches(
    samples: int, batch_size: int, *, seed: int, epoch: int, drop_last: bool = False
) -> Iterator[Tensor]:
    """Index batches `(b,)` int64 over cached features, a pure function of (seed, epoch).

    Args:
        samples: N, how many samples there are.
        batch_size: the size of all batches but the last.
        seed: the run's seed, not negative.
        epoch: the pass over the features.
        drop_last: leaves out the smaller batch at the end.
    """
    order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(samples))
    for start in range(0, samples, batch_size):
        batch = order[start : start + batch_size]
        if len(batch) == batch_size or not drop_last:
            yield batch
