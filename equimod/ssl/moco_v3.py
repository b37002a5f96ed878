"""MoCo v3: find the momentum encoder's key of the other view (arXiv 2104.02057)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from equimod.encoders import Encoder
from equimod.heads import mlp
from equimod.losses import info_nce
from equimod.ssl.base import MethodDocument
from equimod.ssl.target import PredictingMethod


class MoCoV3(PredictingMethod):
    """Online projector and predictor, target encoder and projector, symmetric contrastive loss.

    The keys are those of the batch of all processes: there is no queue. The heads are those of the
    authors' code for a ResNet.

    Args:
        encoder: the online encoder `(N, C, H, W)` to `(N, feature_dim)`; see `TargetMethod`.
        feature_dim: F, the width of the encoder's features.
        temperature: tau, the divisor of the cosines.
        hidden: the hidden width of projector and predictor.
        dim: the width of their outputs.
        layers: linear layers of the projector.
        ema_start: the target's momentum at the beginning.
        ema_end: the target's momentum at the end.
    """

    def __init__(
        self,
        encoder: nn.Module,
        feature_dim: int,
        *,
        temperature: float = 1.0,
        hidden: int = 4096,
        dim: int = 256,
        layers: int = 2,
        ema_start: float = 0.99,
        ema_end: float = 1.0,
    ) -> None:
        super().__init__(ema_start, ema_end)
        self.temperature = temperature
        widths = (feature_dim, *[hidden] * (layers - 1), dim)
        self.projector = mlp(widths, last_norm="plain")
        self.predictor = mlp((dim, hidden, dim), last_norm="none", last_bias=False)
        self.start_target(encoder, self.projector)

    def forward(self, images: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
        """See `Method.forward`; 2 tau times the sum of both directions (MoCo v3, Algorithm 1)."""
        (q1, q2), (k1, k2) = self.predictions_and_targets("MoCo v3", images, features)
        both = info_nce(q1, k2, self.temperature) + info_nce(q2, k1, self.temperature)
        return 2 * self.temperature * both


class MoCoV3Config(MethodDocument):
    """MoCo v3 (Chen, Xie and He, ICCV 2021); the defaults are the code's for ResNet-50, 100 epochs.

    The code is facebookresearch/moco-v3, its settings are in `CONFIG.md`.
    """

    has_target: ClassVar[bool] = True

    name: Literal["moco_v3"] = "moco_v3"

    temperature: float = Field(default=1.0, gt=0)
    """Temperature of the contrastive loss; 1.0 for ResNet-50 and 0.2 for ViT."""
    hidden: int = Field(default=4096, ge=1)
    """Hidden width of projector and predictor."""
    dim: int = Field(default=256, ge=1)
    """Width of queries and keys."""
    layers: int = Field(default=2, ge=1)
    """Linear layers of the projector; 2 for ResNet-50 and 3 for ViT."""
    ema_start: float = Field(default=0.99, ge=0, le=1)
    """Momentum of the target network at the beginning; 0.996 for 1000 epochs."""
    ema_end: float = Field(default=1.0, ge=0, le=1)
    """Momentum of the target network at the end, reached along a cosine."""

    def build(self, encoder: Encoder) -> MoCoV3:
        """The method for `encoder`, of which the target network starts as a copy."""
        return MoCoV3(encoder, encoder.feature_dim, **self.model_dump(exclude={"name"}))
