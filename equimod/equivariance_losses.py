"""The losses between views' embeddings and their predictions, by name.

| name | asks that | collapse is kept away by |
|---|---|---|
| `contrastive` | each prediction is nearer to its view than to others | negatives |
| `cosine` | prediction and view have one direction | nothing of its own |
| `vicreg` | prediction and view are the same point | variance and covariance of columns |

`contrastive` is the published one. Like those of `equimod.losses`, all take this process's rows,
look at the batch of all processes, and give the mean over this process's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from equimod import distributed
from equimod.losses import (
    Negatives,
    at_least_float32,
    byol_loss,
    check_same_shape,
    equivariance_nt_xent,
)

LossName = Literal["contrastive", "cosine", "vicreg"]

INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0
"""The weights of VICReg's three terms, lambda, mu and nu (arXiv 2105.04906, section 4.2)."""

TARGET_STD = 1.0
"""gamma, the standard deviation that a column shall have at least (Eq. 1 there)."""

EPSILON = 1e-4
"""Added to a variance before its root is taken (Eq. 2 there, and the released code)."""


def equivariance_loss(
    name: LossName,
    targets: Sequence[Tensor],
    predictions: Sequence[Tensor],
    *,
    temperature: float = 0.2,
    negatives: Negatives = "all",
) -> Tensor:
    """The loss of this name, see the table of this module.

    Args:
        name: which loss.
        targets: V tensors `(N, D)`, the embeddings y_v of the views.
        predictions: V tensors `(N, D)`, the predicted embeddings yhat_v.
        temperature: of the contrastive loss.
        negatives: of the contrastive loss.

    Returns:
        A scalar; float32 at least, also under autocast.

    Raises:
        ValueError: the tensors differ in number or shape, or an option of the loss is wrong.
    """
    if name == "contrastive":
        return equivariance_nt_xent(targets, predictions, temperature, negatives)
    check_same_shape(targets, predictions)
    one = byol_loss if name == "cosine" else vicreg_loss
    losses = [one(yhat, y) for y, yhat in zip(targets, predictions, strict=True)]
    return torch.stack(losses).mean()


def vicreg_loss(a: Tensor, b: Tensor) -> Tensor:
    """VICReg of two sets of embeddings (Bardes et al., ICLR 2022, arXiv 2105.04906, Eq. 6).

    `25 s(a, b) + 25 (v(a) + v(b)) / 2 + (c(a) + c(b))`, as in the released code: s is the mean
    squared difference over rows and columns (the paper's Eq. 5 sums the columns), v the mean over
    columns of `max(0, 1 - sqrt(Var + 1e-4))` (of which the paper's Eq. 6 takes the sum of a and b),
    and c the sum of the squared covariances of different columns, divided by D. Variances and
    covariances, divided by the number of rows less 1, are those of all processes' rows together.

    Args:
        a: `(N, D)` embeddings.
        b: `(N, D)` embeddings, row for row of the same images.

    Returns:
        The loss, a scalar; float32 at least, also under autocast.

    Raises:
        ValueError: there is one row in all, which has no variance.
    """
    with torch.autocast(a.device.type, enabled=False):
        a, b = at_least_float32(a), at_least_float32(b)
        everyone = distributed.gather(torch.stack([a, b], dim=1))  # (W * N, 2, D)
        if len(everyone) < 2:
            raise ValueError("VICReg needs at least two rows, got one: it has no variance")
        apart = F.mse_loss(a, b)
        spread, shared = zip(*map(_spread, everyone.unbind(dim=1)), strict=True)
        return INVARIANCE * apart + VARIANCE * sum(spread) / 2 + COVARIANCE * sum(shared)


def _spread(x: Tensor) -> tuple[Tensor, Tensor]:
    """The variance and the covariance term of `(M, D)` rows."""
    centred = x - x.mean(dim=0)
    covariance = centred.mT @ centred / (len(x) - 1)
    variance = covariance.diagonal()
    narrow = F.relu(TARGET_STD - (variance + EPSILON).sqrt()).mean()
    off_diagonal = covariance - variance.diag()
    return narrow, off_diagonal.square().sum() / x.shape[1]
