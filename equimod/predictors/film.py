"""A displacement from a hidden layer of the image that the code scales and shifts."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from equimod.predictors.base import CodeFeatures, Predictor


class FiLMPredictor(Predictor):
    """`y0 + W (relu((1 + gamma(c)) * h + beta(c)) - relu(h))`, where `h = A y0 + b`.

    Feature-wise linear modulation (Perez et al., AAAI 2018, arXiv 1709.07871, Eq. 1 and 2; gamma is
    its distance from 1). gamma and beta are linear in features of the code that are zero for the
    zero code, so that the displacement, which depends on the image, is then zero, exactly.

    Args:
        dim: D, the width of embeddings.
        code_dim: E, the width of a code.
        hidden: H, the width of the image's hidden layer, and the number of the code's features.
        rank: not used.
    """

    from_identity: ClassVar[bool] = True

    def __init__(self, dim: int, code_dim: int, *, hidden: int = 512, rank: int = 8) -> None:
        super().__init__(dim, code_dim)
        self.image = nn.Linear(dim, hidden)
        self.code = CodeFeatures(code_dim, hidden)
        self.modulation = nn.Linear(hidden, 2 * hidden, bias=False)
        self.displacement = nn.Linear(hidden, dim, bias=False)

    def forward(self, reference: Tensor, code: Tensor) -> Tensor:
        """See `Predictor.forward`."""
        seen = self.image(reference)
        gamma, beta = self.modulation(self.code(code)).chunk(2, dim=1)
        moved = (seen + gamma * seen + beta).relu() - seen.relu()
        predicted: Tensor = reference + self.displacement(moved)
        return predicted

    @property
    def reader(self) -> nn.Linear:
        """See `Predictor.reader`."""
        return self.code.layer
