"""A displacement that is linear in the image, by a map of low rank that the code decides."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn

from equimod.predictors.base import CodeFeatures, Predictor


class LowRankPredictor(Predictor):
    """`y0 + U(c) V(c)^T y0 + b(c)`, with U and V `(D, rank)`.

    A network of the code gives the weights of a linear map of the embedding, as the hyper-network
    of SIE does (Garrido et al., ICML 2023, arXiv 2302.10283), but only of low rank beside the
    identity: it has `(2 rank + 1) D` outputs instead of `D^2`. U and b are linear in features of
    the code that are zero for the zero code, so that the displacement, which depends on the image,
    is then zero, exactly.

    Args:
        dim: D, the width of embeddings.
        code_dim: E, the width of a code.
        hidden: H, the number of the code's features.
        rank: the rank of the map.
    """

    from_identity: ClassVar[bool] = True

    def __init__(self, dim: int, code_dim: int, *, hidden: int = 512, rank: int = 8) -> None:
        super().__init__(dim, code_dim)
        self.rank = rank
        self.code = CodeFeatures(code_dim, hidden)
        self.left = nn.Linear(hidden, dim * rank, bias=False)
        self.right = nn.Linear(hidden, dim * rank)
        # or else the map would begin near zero, and U and V with next to no gradient
        nn.init.normal_(self.right.bias, std=1 / math.sqrt(dim))
        self.shift = nn.Linear(hidden, dim, bias=False)

    def forward(self, reference: Tensor, code: Tensor) -> Tensor:
        """See `Predictor.forward`."""
        features = self.code(code)
        left = self.left(features).unflatten(1, (-1, self.rank))  # (N, D, rank)
        right = self.right(features).unflatten(1, (-1, self.rank))
        inner = (right * reference[:, :, None]).sum(dim=1, keepdim=True)  # (N, 1, rank)
        predicted: Tensor = reference + (left * inner).sum(dim=2) + self.shift(features)
        return predicted

    @property
    def reader(self) -> nn.Linear:
        """See `Predictor.reader`."""
        return self.code.layer
