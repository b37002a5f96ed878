"""VICReg: alike views, spread and uncorrelated features (arXiv 2105.04906)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor

from equimod.encoders import Encoder
from equimod.heads import mlp
from equimod.redundancy import vicreg_loss
from equimod.ssl.base import Method, MethodDocument, two


class VICReg(Method):
    """Projector (the paper's expander) and a loss of three terms.

    Each view passes through the projector by itself, as in the authors' code.

    Args:
        feature_dim: F, the width of the encoder's features.
        hidden: the width of the projector's two hidden layers.
        dim: D, the width of the embeddings.
        invariance: lambda, the weight of the mean squared difference of the views.
        variance: mu, the weight of what the columns' standard deviations lack to 1.
        covariance: nu, the weight of the covariances between different columns.
    """

    def __init__(
        self,
        feature_dim: int,
        *,
        hidden: int = 8192,
        dim: int = 8192,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ) -> None:
        super().__init__()
        self.weights = (invariance, variance, covariance)
        widths = (feature_dim, hidden, hidden, dim)
        self.projector = mlp(widths, last_norm="none", last_bias=False)

    def forward(self, images: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
        """See `Method.forward`; variances and covariances are those of the whole batch."""
        z1, z2 = (self.projector(h) for h in two("VICReg", "features", features))
        return vicreg_loss(z1, z2, *self.weights)


class VICRegConfig(MethodDocument):
    """VICReg (Bardes et al., ICLR 2022)."""

    name: Literal["vicreg"] = "vicreg"

    hidden: int = Field(default=8192, ge=1)
    """Width of the projector's two hidden layers."""
    dim: int = Field(default=8192, ge=2)
    """Width of the embeddings."""
    invariance: float = Field(default=25.0, ge=0)
    """Lambda, the weight of the mean squared difference of the views."""
    variance: float = Field(default=25.0, ge=0)
    """Mu, the weight of what the columns' standard deviations lack to 1."""
    covariance: float = Field(default=1.0, ge=0)
    """Nu, the weight of the covariances between different columns."""

    def build(self, encoder: Encoder) -> VICReg:
        """The method for features of `encoder`."""
        return VICReg(encoder.feature_dim, **self.model_dump(exclude={"name"}))
