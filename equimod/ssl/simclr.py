"""SimCLR: contrast each view with its partner against every other image (arXiv 2002.05709)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from equimod.encoders import Encoder
from equimod.heads import mlp
from equimod.losses import nt_xent
from equimod.ssl.base import Method, MethodDocument, two


class SimCLR(Method):
    """Projector and NT-Xent.

    Both views pass through the projector as one batch, as in the code released with EquiMod.

    Args:
        feature_dim: F, the width of the encoder's features.
        temperature: tau of NT-Xent.
        hidden: the width of the projector's two hidden layers.
        dim: the width of the embeddings that are compared.
    """

    def __init__(
        self, feature_dim: int, *, temperature: float = 0.5, hidden: int = 2048, dim: int = 128
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.projector = mlp((feature_dim, hidden, hidden, dim), last_norm="plain")

    def forward(self, images: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
        """See `Method.forward`."""
        z1, z2 = self.projector(torch.cat(two("SimCLR", "features", features))).chunk(2)
        return nt_xent(z1, z2, self.temperature)


class SimCLRConfig(MethodDocument):
    """SimCLR (Chen et al., ICML 2020); the defaults are EquiMod's on CIFAR-10."""

    name: Literal["simclr"] = "simclr"

    temperature: float = Field(default=0.5, gt=0)
    """Temperature of NT-Xent; 0.5 on CIFAR-10 and 0.2 on ImageNet in the EquiMod paper."""
    hidden: int = Field(default=2048, ge=1)
    """Width of the projector's two hidden layers."""
    dim: int = Field(default=128, ge=1)
    """Width of the embeddings that are compared."""

    def build(self, encoder: Encoder) -> SimCLR:
        """The method for features of `encoder`."""
        return SimCLR(encoder.feature_dim, **self.model_dump(exclude={"name"}))
