"""Weighted k-nearest-neighbour accuracy of frozen features: the quick measure during training.

A test sample takes the class with the most votes among its k nearest training samples by cosine
similarity s, each voting with exp(s / T) (Wu et al., 2018, arXiv 1805.01978, section 3.4; the same
k = 20, T = 0.07 as DINO, Caron et al., 2021).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from augspec import DocumentModel
from equimod.evaluation.features import labelled


class KNNConfig(DocumentModel):
    """The k-NN measure."""

    k: int = Field(default=20, ge=1)
    """How many nearest training samples vote."""

    temperature: float = Field(default=0.07, gt=0)
    """T in the vote exp(similarity / T); the smaller, the more the nearest decide."""


@torch.no_grad()
def knn_accuracy(
    train_x: Tensor,
    train_y: Tensor,
    test_x: Tensor,
    test_y: Tensor,
    *,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 256,
) -> float:
    """Top-1 accuracy in percent of a cosine-similarity weighted vote.

    Samples with label -1 are left out on both sides. With fewer than k training samples, all of
    them vote. Ties are settled by the lower index: of equally near training samples at the k-th
    place the earlier votes, and of classes with equal votes the lower wins. A test class without
    training samples counts as wrong.

    Args:
        train_x: features `(N, F)`.
        train_y: labels `(N,)`.
        test_x: features `(M, F)`, on the same device.
        test_y: labels `(M,)`.
        k: the number of neighbours.
        temperature: T of the vote.
        chunk: how many test samples are compared at once; needs `chunk * N` floats of memory.

    Raises:
        ValueError: a split has no labels, sizes do not match, or a feature is not finite.
    """
    train_x, train_y = labelled(train_x, train_y, "k-NN, training split")
    test_x, test_y = labelled(test_x, test_y, "k-NN, test split")
    bank = F.normalize(train_x.float(), dim=1)
    classes, targets = train_y.unique(return_inverse=True)
    correct = 0
    for x, y in zip(test_x.split(chunk), test_y.split(chunk), strict=True):
        similarity = F.normalize(x.float(), dim=1) @ bank.T
        nearest = _nearest(similarity, min(k, len(bank)))
        # similarity - 1 instead of similarity: the same vote up to a factor, and no overflow
        weights = ((similarity.gather(1, nearest) - 1) / temperature).exp()
        ballots = F.one_hot(targets[nearest], len(classes)).to(weights.dtype)
        votes = (weights[:, :, None] * ballots).sum(dim=1)
        correct += int((classes[votes.argmax(dim=1)] == y).sum())
    return 100.0 * correct / len(test_y)


def _nearest(similarity: Tensor, k: int) -> Tensor:
    """Indices `(B, k)` of the k largest of each row, ascending; ties go to the lower index.

    `topk` alone leaves open which of several equal values it takes.
    """
    least = similarity.topk(k, dim=1).values[:, -1:]
    above = similarity > least
    tied = similarity == least
    missing = k - above.sum(dim=1, keepdim=True)
    chosen = above | (tied & (tied.cumsum(dim=1) <= missing))
    return chosen.nonzero()[:, 1].view(-1, k)
