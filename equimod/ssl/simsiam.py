"""SimSiam: predict the other view's projection, held still (arXiv 2011.10566)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import Parameter

from equimod.encoders import Encoder
from equimod.heads import mlp
from equimod.losses import byol_loss
from equimod.ssl.base import Method, MethodDocument, two


class SimSiam(Method):
    """Projector, predictor and the symmetric negative cosine, without a target network.

    Each view passes through the heads by itself, as in the authors' code.

    Args:
        feature_dim: F, the width of the encoder's features.
        dim: the width of the projections, and of the projector's hidden layers.
        hidden: the width of the predictor's hidden layer.
        layers: linear layers of the projector.
        fixed_predictor_rate: whether the predictor's learning rate stays at its highest.
    """

    def __init__(
        self,
        feature_dim: int,
        *,
        dim: int = 2048,
        hidden: int = 512,
        layers: int = 3,
        fixed_predictor_rate: bool = False,
    ) -> None:
        super().__init__()
        self.fixed_predictor_rate = fixed_predictor_rate
        self.projector = mlp((feature_dim, *[dim] * layers), last_norm="plain")
        self.predictor = mlp((dim, hidden, dim), last_norm="none")

    def fixed_rate_parameters(self) -> Iterable[Parameter]:
        """See `Method.fixed_rate_parameters`."""
        return self.predictor.parameters() if self.fixed_predictor_rate else ()

    def forward(self, images: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
        """See `Method.forward`; the mean of both directions, in [-1, 1] (SimSiam, Eq. 4)."""
        z1, z2 = (self.projector(h) for h in two("SimSiam", "features", features))
        p1, p2 = self.predictor(z1), self.predictor(z2)
        # each direction is 2 - 2 cos
        return (byol_loss(p1, z2.detach()) + byol_loss(p2, z1.detach())) / 4 - 1


class SimSiamConfig(MethodDocument):
    """SimSiam (Chen and He, CVPR 2021); the defaults are those on ImageNet."""

    name: Literal["simsiam"] = "simsiam"

    dim: int = Field(default=2048, ge=1)
    """Width of the projections, and of the projector's hidden layers."""
    hidden: int = Field(default=512, ge=1)
    """Width of the predictor's hidden layer: a bottleneck, a quarter of `dim` in the paper."""
    layers: int = Field(default=3, ge=1)
    """Linear layers of the projector; 3 on ImageNet, 2 on CIFAR-10 (appendix D)."""
    fixed_predictor_rate: bool = False
    """Whether the predictor's learning rate is the highest one from the first step to the last
    (`--fix-pred-lr` of the authors' code): a predictor must keep up with its encoder."""

    def build(self, encoder: Encoder) -> SimSiam:
        """The method for features of `encoder`."""
        return SimSiam(encoder.feature_dim, **self.model_dump(exclude={"name"}))
