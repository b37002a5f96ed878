"""The contract of a predictor, and what the predictors of displacements share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from augspec import SlotMap


class Predictor(nn.Module, ABC):
    """From the embedding of an image and the code of its augmentation to the view's embedding.

    Args:
        dim: D, the width of embeddings.
        code_dim: E, the width of a code.
        hidden: H, the width of a hidden layer, for a predictor that has one.
        rank: the rank of a map, for a predictor that has one.
    """

    from_identity: ClassVar[bool] = False
    """Whether the zero code displaces nothing, whatever the weights: `yhat(y0, 0) == y0`."""

    def __init__(self, dim: int, code_dim: int, *, hidden: int = 512, rank: int = 8) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, reference: Tensor, code: Tensor) -> Tensor:
        """Predicts the views' embeddings.

        Args:
            reference: `(N, D)`, embeddings of the untransformed images.
            code: `(N, E)`, codes of the transformations.

        Returns:
            `(N, D)`.
        """

    @property
    @abstractmethod
    def reader(self) -> nn.Linear:
        """The layer that reads the code's columns, the only one that knows their number."""

    def read(self, slots: SlotMap, what: str) -> None:
        """Makes the predictor read codes of another layout, with the weights that it has.

        A column that is left out adds as little to a sum as one that is zero. What follows the
        layer, such as a batch norm, keeps what it learned from the codes of the training.

        Args:
            slots: from the layout that it reads to the one that it shall read.
            what: what it is, for messages.

        Raises:
            LayoutMismatchError: it has no weights for such codes.
        """
        first = self.reader
        columns = slots.columns(first.weight.detach(), what)
        first.weight = nn.Parameter(columns, requires_grad=first.weight.requires_grad)
        first.in_features = slots.target.width


class CodeFeatures(nn.Module):
    """Features of a code that are zero for the zero code: `relu(W c + b) - relu(b)`.

    Args:
        code_dim: E, the width of a code.
        hidden: H, the number of features.
    """

    def __init__(self, code_dim: int, hidden: int) -> None:
        super().__init__()
        self.layer = nn.Linear(code_dim, hidden)

    def forward(self, code: Tensor) -> Tensor:
        """Features `(N, H)` of codes `(N, E)`."""
        # the bias is added to both alike, also under autocast, so that zero gives exactly zero
        shifted = F.linear(code, self.layer.weight)
        bias = self.layer.bias.to(shifted.dtype)
        return (shifted + bias).relu() - bias.relu()
