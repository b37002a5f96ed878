"""Whether representations collapse: how many directions they use, and how far they spread."""

from __future__ import annotations

import math

import torch
from torch import Tensor

RANKME_EPSILON = 1e-7
"""Added to each share of the singular values before its logarithm is taken (RankMe, Eq. 2)."""

MONITOR_IMAGES = 512
"""How many held-out images are looked at after each epoch; no rank can be larger."""


def rankme(x: Tensor) -> float:
    """RankMe, a smooth rank (Garrido et al., ICML 2023, arXiv 2210.02885, Eq. 1 and 2).

    The exponential of the entropy of the singular values, divided by their sum: k for k directions
    of equal weight, 1 where all rows are multiples of one. Rows are not centred, so that a common
    mean is a direction, too.

    Args:
        x: `(N, D)`, one row for each image.

    Returns:
        From 1 to min(N, D), but for the epsilon; 0 where all is zero.

    Raises:
        ValueError: x is no matrix with rows and columns.
    """
    _check(x)
    values = torch.linalg.svdvals(x.detach().cpu().double())
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values / total + RANKME_EPSILON
    return float((-(shares * shares.log()).sum()).exp())


def mean_deviation(x: Tensor) -> float:
    """The mean over columns of their standard deviation over rows; 0 where all rows are equal.

    Args:
        x: `(N, D)`, one row for each image.

    Raises:
        ValueError: x is no matrix with rows and columns.
    """
    _check(x)
    return float(x.detach().cpu().double().std(dim=0, correction=0).mean())


def collapse_metrics(
    features: Tensor, embeddings: Tensor | None = None, shuffled_gain: float = math.nan
) -> dict[str, float]:
    """What is recorded after each epoch, by name; what is not finite has no rank, and no name.

    Args:
        features: the encoder's, `(N, F)`.
        embeddings: those of the equivariance head, `(N, D)`, if there is one.
        shuffled_gain: how much its predictions use their codes, see `equimod.evaluation.shuffled`.
    """
    named = {"features": features} | ({"embeddings": embeddings} if embeddings is not None else {})
    found = {}
    for name, x in named.items():
        if not x.isfinite().all():
            continue
        found[f"monitor/{name}_rankme"] = rankme(x)
        found[f"monitor/{name}_std"] = mean_deviation(x)
    if math.isfinite(shuffled_gain):
        found["monitor/shuffled_gain"] = shuffled_gain
    return found


def _check(x: Tensor) -> None:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"expected (N, D) with rows and columns, got {tuple(x.shape)}")
