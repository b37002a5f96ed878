"""Losses of what embeddings have in common over the batch: Barlow Twins' and VICReg's.

Means, variances and correlations are those of the batch of all processes, whatever the option for
batch norms. Each rank computes its own rows' share of the sums, and adds up shares instead of
rows; `equimod.distributed.all_sum` says why the gradient is that of one process. The value is to be
averaged over ranks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from equimod import distributed
from equimod.losses import at_least_float32

NORM_EPS = 1e-5
"""Added to variances by Barlow Twins: that of torch's batch norms, which the authors' code uses."""
STD_EPS = 1e-4
"""Added to variances by VICReg, under the root (section 4.1)."""


def barlow_twins_loss(a: Tensor, b: Tensor, redundancy: float = 0.0051) -> Tensor:
    """How far the cross-correlation matrix is from the identity (arXiv 2103.03230, Eq. 1 and 2).

    C_ij correlates column i of one view with column j of the other, over the images. The loss is
    the sum of (1 - C_ii)^2 and, times `redundancy`, of all C_ij^2 with i != j. Two views that are
    alike and have independent columns give 0, constant embeddings D.

    Args:
        a: `(N, D)` embeddings of one view.
        b: `(N, D)` embeddings of the other, row for row of the same images.
        redundancy: lambda, the weight of the terms off the diagonal.

    Returns:
        A scalar, the same on every rank; float32 at least, also under autocast.
    """
    with torch.autocast(a.device.type, enabled=False):
        rows, count = _both_centred(a, b)
        variance = distributed.all_sum(rows.square().sum(1, keepdim=True)) / count
        first, second = rows * torch.rsqrt(variance + NORM_EPS)
        correlation = distributed.all_sum(first.T @ second) / count
        alike = (1 - correlation.diagonal()).square().sum()
        return alike + redundancy * _off_diagonal(correlation).square().sum()


def vicreg_loss(
    a: Tensor,
    b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    """Invariance, variance and covariance of embeddings (VICReg, arXiv 2105.04906, Eq. 1 to 6).

    The authors' code, whose conventions these are, differs from the paper's text by constants: the
    invariance term is also a mean over the D columns, and the variance term a mean, not a sum, of
    the two views.

    Args:
        a: `(N, D)` embeddings of one view.
        b: `(N, D)` embeddings of the other, row for row of the same images.
        invariance: lambda, the weight of the mean squared difference of the two.
        variance: mu, the weight of what each column's standard deviation lacks to 1.
        covariance: nu, the weight of the squared covariances of different columns, over D.

    Returns:
        A scalar; float32 at least, also under autocast.

    Raises:
        ValueError: the shapes differ, or there is one row in all, which has no variance.
    """
    with torch.autocast(a.device.type, enabled=False):
        rows, count = _both_centred(a, b)
        lacking, shared = _lacking(rows, count), rows.new_zeros(())
        for view in rows:
            shared = shared + _shared(view, count)
        apart = (at_least_float32(a) - at_least_float32(b)).square().mean()
        return invariance * apart + variance * lacking + covariance * shared


def variance_loss(x: Tensor) -> Tensor:
    """What each column's standard deviation lacks to 1 (VICReg, arXiv 2105.04906, Eq. 1).

    Args:
        x: `(N, D)`; the standard deviations are those over all processes' rows.

    Returns:
        The mean over D, a scalar.

    Raises:
        ValueError: there is one row in all, which has no variance.
    """
    return _lacking(*_centred(x))


def covariance_loss(x: Tensor) -> Tensor:
    """The squared covariances of different columns, over D (VICReg, arXiv 2105.04906, Eq. 4).

    Args:
        x: `(N, D)`; the covariances are those over all processes' rows.
    """
    return _shared(*_centred(x))


def _lacking(rows: Tensor, count: int) -> Tensor:
    """`variance_loss` of centred rows `(..., N, D)`, `count` of all processes."""
    if count < 2:
        raise ValueError("VICReg needs at least two rows, got one: it has no variance")
    spread = distributed.all_sum(rows.square().sum(-2)) / (count - 1)
    return torch.relu(1 - torch.sqrt(spread + STD_EPS)).mean()


def _shared(rows: Tensor, count: int) -> Tensor:
    """`covariance_loss` of centred rows `(N, D)`, `count` of all processes."""
    matrix = distributed.all_sum(rows.T @ rows) / (count - 1)
    return _off_diagonal(matrix).square().sum() / len(matrix)


def _both_centred(a: Tensor, b: Tensor) -> tuple[Tensor, int]:
    """Both views, less their means over the images of all processes: `(2, N, D)`; and how many.

    Raises:
        ValueError: they do not have one shape `(N, D)`.
    """
    if a.shape != b.shape or a.ndim != 2:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(f"two views' embeddings must share one shape (N, D), not {shapes}")
    return _centred(at_least_float32(torch.stack([a, b])))


def _centred(rows: Tensor) -> tuple[Tensor, int]:
    """Rows `(..., N, D)`, less their means over those of all processes; and how many these are."""
    count = rows.shape[-2] * distributed.world_size()
    return rows - distributed.all_sum(rows.sum(-2, keepdim=True)) / count, count


def _off_diagonal(matrix: Tensor) -> Tensor:
    """The elements of a square matrix that are not on its diagonal, `(D - 1, D)`."""
    size = len(matrix)
    # in rows of D + 1, each begins with an element of the diagonal
    return matrix.flatten()[:-1].view(size - 1, size + 1)[:, 1:]
