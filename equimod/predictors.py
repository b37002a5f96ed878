"""Predictors: from an image's embedding and an augmentation's code to the view's embedding.

A new predictor is a subclass of `Predictor` and its entry in `PREDICTORS` (and in `PredictorName`,
for the schema).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from equimod.heads import mlp

if TYPE_CHECKING:
    from augspec import SlotMap

PredictorName = Literal["affine"]


class Predictor(nn.Module):
    """From the embedding of an image and the code of its augmentation to the view's embedding.

    Args:
        dim: D, the width of embeddings.
        code_dim: E, the width of a code.
    """

    def __init__(self, dim: int, code_dim: int) -> None:
        super().__init__()

    def forward(self, reference: Tensor, code: Tensor) -> Tensor:
        """Predicts the views' embeddings.

        Args:
            reference: `(N, D)`, embeddings of the untransformed images.
            code: `(N, E)`, codes of the transformations.

        Returns:
            `(N, D)`.
        """
        raise NotImplementedError

    def read(self, slots: SlotMap, what: str) -> None:
        """Makes the predictor read codes of another layout, with the weights that it has.

        Args:
            slots: from the layout that it reads to the one that it shall read.
            what: what it is, for messages.

        Raises:
            LayoutMismatchError: it has no weights for such codes.
        """
        raise NotImplementedError


class AffinePredictor(Predictor):
    """The released predictor: a linear layer over the embedding and the projected code.

    The parameter projector p is Linear(E, D, no bias) and batch norm, the predictor u is
    Linear(2D, D, no bias) and batch norm without scale and shift. Their composition is affine, so
    the displacement that a code causes is the same for every image. The batch norms cancel an
    offset and a common scale of the codes, but not the scale of one column beside another.

    Args:
        dim: D, the width of embeddings and of the projected code.
        code_dim: E, the width of a code.
    """

    def __init__(self, dim: int, code_dim: int) -> None:
        super().__init__(dim, code_dim)
        self.parameter_projector = mlp((code_dim, dim), last_norm="affine")
        self.predictor = mlp((2 * dim, dim), last_norm="plain")

    def forward(self, reference: Tensor, code: Tensor) -> Tensor:
        """See `Predictor.forward`."""
        projected = self.parameter_projector(code)
        predicted: Tensor = self.predictor(torch.cat([reference, projected], dim=1))
        return predicted

    def read(self, slots: SlotMap, what: str) -> None:
        """See `Predictor.read`.

        Only the first layer sees the columns, and it has no bias: a column that is left out adds as
        little as one that is zero. The batch norms keep the statistics of the codes that they were
        trained on.
        """
        first = self.parameter_projector[0]
        assert isinstance(first, nn.Linear)
        columns = slots.columns(first.weight.detach(), what)
        first.weight = nn.Parameter(columns, requires_grad=first.weight.requires_grad)
        first.in_features = slots.target.width


PREDICTORS: dict[PredictorName, type[Predictor]] = {"affine": AffinePredictor}
