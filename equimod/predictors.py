"""Predictors: from an image's embedding and an augmentation's code to the view's embedding.

A predictor is an `nn.Module` constructed as `Predictor(dim, code_dim)` whose `forward` maps the
reference embedding `(N, D)` and the code `(N, E)` to the predicted embedding `(N, D)`. A new one is
a class and its entry in `PREDICTORS` (and in `PredictorName`, for the schema).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from equimod.heads import mlp

PredictorName = Literal["affine"]


class AffinePredictor(nn.Module):
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
        super().__init__()
        self.parameter_projector = mlp((code_dim, dim), last_norm="affine")
        self.predictor = mlp((2 * dim, dim), last_norm="plain")

    def forward(self, reference: Tensor, code: Tensor) -> Tensor:
        """Predicts the views' embeddings.

        Args:
            reference: `(N, D)`, embeddings of the untransformed images.
            code: `(N, E)`, codes of the transformations.

        Returns:
            `(N, D)`.
        """
        projected = self.parameter_projector(code)
        predicted: Tensor = self.predictor(torch.cat([reference, projected], dim=1))
        return predicted


PREDICTORS: dict[PredictorName, type[nn.Module]] = {"affine": AffinePredictor}
