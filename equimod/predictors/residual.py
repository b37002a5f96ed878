"""A displacement from a hidden layer that sees the image and the code."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from equimod.predictors.base import Predictor


class ResidualPredictor(Predictor):
    """`y0 + W (relu(A y0 + B c + b) - relu(A y0 + b))`.

    A two-layer perceptron of embedding and code, less what it gives without the code: the
    displacement depends on the image, and that of the zero code is zero, exactly. Without batch
    norms, a prediction does not depend on the other samples of a batch.

    Args:
        dim: D, the width of embeddings.
        code_dim: E, the width of a code.
        hidden: H, the width of the hidden layer.
        rank: not used.
    """

    from_identity: ClassVar[bool] = True

    def __init__(self, dim: int, code_dim: int, *, hidden: int = 512, rank: int = 8) -> None:
        super().__init__(dim, code_dim)
        self.image = nn.Linear(dim, hidden)
        self.code = nn.Linear(code_dim, hidden, bias=False)
        self.displacement = nn.Linear(hidden, dim, bias=False)

    def forward(self, reference: Tensor, code: Tensor) -> Tensor:
        """See `Predictor.forward`."""
        seen = self.image(reference)
        moved = (seen + self.code(code)).relu() - seen.relu()
        predicted: Tensor = reference + self.displacement(moved)
        return predicted

    @property
    def reader(self) -> nn.Linear:
        """See `Predictor.reader`."""
        return self.code
