"""AugSelf: predict how the parameters of two views differ (Lee et al., arXiv 2111.09613)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from augspec import meant
from equimod.baselines.base import Neighbour, NeighbourOptions, Pair
from equimod.baselines.inputs import Given, Reads
from equimod.heads import mlp
from equimod.losses import at_least_float32

TASKS = ("crop", "color", "flip", "blur", "rot", "sol")
"""The groups of columns of the `augself` format, each with a head of its own."""


class AugSelf(Neighbour):
    """A head for each kind of augmentation, over the features of both views.

    L = sum_k w_k L_k(head_k([h1, h2]), d_k), the mean over both orders of the views. Which loss is
    whose follows the released code (trainers.py, SSObjective): the squared error of a `tanh` for
    crop, color, blur and sol, the binary cross entropy for flip, the cross entropy of four classes
    for rot. Its `tanh` cannot reach a blur that differs by more than 1 pixel.

    Args:
        feature_dim: F, the width of the encoder's features.
        columns: of the `augself` format, in order.
        weights: the weight of each task; a weight of 0 has no head.
        hidden: the width of each head's two hidden layers.

    Raises:
        ValueError: a task is asked for that the views have no op for, or none is.
    """

    def __init__(
        self,
        feature_dim: int,
        columns: tuple[str, ...],
        weights: dict[str, float],
        *,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        self.weights = {task: weight for task, weight in weights.items() if weight > 0}
        kinds = [column.partition(".")[0] for column in columns]
        self.columns = {task: [k for k, kind in enumerate(kinds) if kind == task] for task in TASKS}
        known = [task for task in TASKS if self.columns[task]]
        for task in self.weights:
            if task not in known:
                raise ValueError(
                    f"augself: nothing to predict for {task!r}{meant(task, known)}, which the "
                    f"views do not draw (they draw: {', '.join(known)}): set its weight to 0"
                )
        if not self.weights:
            raise ValueError(f"augself: all weights are 0; the views draw: {', '.join(known)}")
        self.heads = nn.ModuleDict()
        for task in self.weights:
            width = 4 if task == "rot" else len(self.columns[task])
            self.heads[task] = mlp((2 * feature_dim, hidden, hidden, width), last_norm="none")

    def forward(self, pair: Pair) -> Tensor:
        """See `Neighbour.forward`; `pair.codes` are the differences in both orders."""
        a, b = pair.features
        joint = torch.cat([torch.cat([a, b], dim=1), torch.cat([b, a], dim=1)])
        differences = torch.cat(pair.codes)
        terms = []
        for task, weight in self.weights.items():
            predicted = self.heads[task](joint)
            with torch.autocast(predicted.device.type, enabled=False):
                wanted = differences[:, self.columns[task]]
                terms.append(weight * _loss(task, at_least_float32(predicted), wanted))
        return torch.stack(terms).sum()


def _loss(task: str, predicted: Tensor, wanted: Tensor) -> Tensor:
    if task == "rot":
        return F.cross_entropy(predicted, wanted[:, 0].long())
    wanted = wanted.to(predicted.dtype)
    if task == "flip":
        return F.binary_cross_entropy_with_logits(predicted, wanted)
    return F.mse_loss(predicted.tanh(), wanted)


class AugSelfConfig(NeighbourOptions):
    """AugSelf (Lee et al., NeurIPS 2021); the defaults are those of the published commands."""

    reads: ClassVar[Reads] = "augself"
    name: Literal["augself"] = "augself"

    crop: float = Field(default=0.5, ge=0)
    """Weight of the boxes' difference."""
    color: float = Field(default=0.5, ge=0)
    """Weight of the jitters' difference."""
    flip: float = Field(default=0.0, ge=0)
    """Weight of whether the flips are alike."""
    blur: float = Field(default=0.0, ge=0)
    """Weight of the blurs' difference."""
    rot: float = Field(default=0.0, ge=0)
    """Weight of the quarter turns' difference."""
    sol: float = Field(default=0.0, ge=0)
    """Weight of the solarize thresholds' difference."""
    hidden: int = Field(default=512, ge=1)
    """Width of each head's two hidden layers."""

    def build(self, feature_dim: int, given: Given) -> AugSelf:
        """See `NeighbourOptions.build`."""
        weights = {task: getattr(self, task) for task in TASKS}
        return AugSelf(feature_dim, given.columns, weights, hidden=self.hidden)
