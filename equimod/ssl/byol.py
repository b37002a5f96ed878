"""BYOL: predict a slowly moving copy of oneself, without negatives (arXiv 2006.07733)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from equimod.encoders import Encoder
from equimod.heads import mlp
from equimod.losses import byol_loss
from equimod.ssl.base import MethodDocument
from equimod.ssl.target import PredictingMethod


class BYOL(PredictingMethod):
    """Online projector and predictor, target encoder and projector, symmetric loss.

    Args:
        encoder: the online encoder `(N, C, H, W)` to `(N, feature_dim)`; copied for the target and
            kept, unregistered, for its moving average.
        feature_dim: F, the width of the encoder's features.
        hidden: the hidden width of projector and predictor.
        dim: the width of their outputs.
        ema_start: the target's momentum at the beginning.
        ema_end: the target's momentum at the end.
    """

    def __init__(
        self,
        encoder: nn.Module,
        feature_dim: int,
        *,
        hidden: int = 4096,
        dim: int = 256,
        ema_start: float = 0.996,
        ema_end: float = 1.0,
    ) -> None:
        super().__init__(ema_start, ema_end)
        self.projector = mlp((feature_dim, hidden, dim), last_norm="none")
        self.predictor = mlp((dim, hidden, dim), last_norm="none")
        self.start_target(encoder, self.projector)

    def forward(self, images: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
        """See `Method.forward`; the sum of both directions, each in [0, 4] (BYOL, section 3.1)."""
        (q1, q2), (z1, z2) = self.predictions_and_targets("BYOL", images, features)
        return byol_loss(q1, z2) + byol_loss(q2, z1)


class BYOLConfig(MethodDocument):
    """BYOL (Grill et al., NeurIPS 2020)."""

    has_target: ClassVar[bool] = True

    name: Literal["byol"] = "byol"

    hidden: int = Field(default=4096, ge=1)
    """Hidden width of projector and predictor."""
    dim: int = Field(default=256, ge=1)
    """Width of the projections that are compared."""
    ema_start: float = Field(default=0.996, ge=0, le=1)
    """Momentum of the target network at the beginning."""
    ema_end: float = Field(default=1.0, ge=0, le=1)
    """Momentum of the target network at the end, reached along a cosine."""

    def build(self, encoder: Encoder) -> BYOL:
        """The method for `encoder`, of which the target network starts as a copy."""
        return BYOL(encoder, encoder.feature_dim, **self.model_dump(exclude={"name"}))
