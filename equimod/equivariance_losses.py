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

from equimod.losses import Negatives, byol_loss, check_same_shape, equivariance_nt_xent
from equimod.redundancy import vicreg_loss

LossName = Literal["contrastive", "cosine", "vicreg"]


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
