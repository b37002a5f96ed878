"""The released predictor."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equimod.heads import mlp
from equimod.predictors.base import Predictor


class AffinePredictor(Predictor):
    """The released predictor: a linear layer over the embedding and the projected code.

    The parameter projector p is Linear(E, D, no bias) and batch norm, the predictor u is
    Linear(2D, D, no bias) and batch norm without scale and shift. Their composition is affine, so
    the displacement that a code causes is the same for every image. The batch norms cancel an
    offset and a common scale of the codes, but not the scale of one column beside another.

    Args:
        dim: D, the width of embeddings and of the projected code.
        code_dim: E, the width of a code.
        hidden: not used.
        rank: not used.
    """

    def __init__(self, dim: int, code_dim: int, *, hidden: int = 512, rank: int = 8) -> None:
        super().__init__(dim, code_dim)
        self.parameter_projector = mlp((code_dim, dim), last_norm="affine")
        self.predictor = mlp((2 * dim, dim), last_norm="plain")

    def forward(self, reference: Tensor, code: Tensor) -> Tensor:
        """See `Predictor.forward`."""
        projected = self.parameter_projector(code)
        predicted: Tensor = self.predictor(torch.cat([reference, projected], dim=1))
        return predicted

    @property
    def reader(self) -> nn.Linear:
        """See `Predictor.reader`."""
        first = self.parameter_projector[0]
        assert isinstance(first, nn.Linear)
        return first
