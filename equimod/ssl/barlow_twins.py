"""Barlow Twins: one correlation for each feature and no other (arXiv 2103.03230)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor

from equimod.encoders import Encoder
from equimod.heads import mlp
from equimod.redundancy import barlow_twins_loss
from equimod.ssl.base import Method, MethodDocument, two


class BarlowTwins(Method):
    """Projector and the loss of the cross-correlation matrix.

    Each view passes through the projector by itself, as in the authors' code.

    Args:
        feature_dim: F, the width of the encoder's features.
        hidden: the width of the projector's two hidden layers.
        dim: D, the width of the embeddings whose columns are correlated.
        redundancy: lambda, the weight of the correlations between different columns.
        scale: a factor of the whole loss.
    """

    def __init__(
        self,
        feature_dim: int,
        *,
        hidden: int = 8192,
        dim: int = 8192,
        redundancy: float = 0.0051,
        scale: float = 0.024,
    ) -> None:
        super().__init__()
        self.redundancy = redundancy
        self.scale = scale
        widths = (feature_dim, hidden, hidden, dim)
        # no bias, since the loss centres the embeddings
        self.projector = mlp(widths, last_norm="none", last_bias=False)

    def forward(self, images: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
        """See `Method.forward`; every rank has the loss of the whole batch."""
        z1, z2 = (self.projector(h) for h in two("Barlow Twins", "features", features))
        return self.scale * barlow_twins_loss(z1, z2, self.redundancy)


class BarlowTwinsConfig(MethodDocument):
    """Barlow Twins (Zbontar et al., ICML 2021); the defaults are those of the best model's command.

    That is the one in the README of the authors' code, facebookresearch/barlowtwins.
    """

    name: Literal["barlow_twins"] = "barlow_twins"

    hidden: int = Field(default=8192, ge=1)
    """Width of the projector's two hidden layers."""
    dim: int = Field(default=8192, ge=2)
    """Width of the embeddings whose columns are correlated."""
    redundancy: float = Field(default=0.0051, ge=0)
    """Lambda, the weight of correlations between different columns; about 0.005 in the paper."""
    scale: float = Field(default=0.024, gt=0)
    """Factor of the whole loss. Under LARS, which steps in proportion to the weights, it sets the
    rate of biases and batch norms: 0.024 times that of the weights, in the paper 0.0048 and 0.2."""

    def build(self, encoder: Encoder) -> BarlowTwins:
        """The method for features of `encoder`."""
        return BarlowTwins(encoder.feature_dim, **self.model_dump(exclude={"name"}))
