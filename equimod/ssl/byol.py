"""BYOL: predict a slowly moving copy of oneself, without negatives (arXiv 2006.07733)."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from augspec import DocumentModel
from equimod.encoders import Encoder
from equimod.heads import mlp
from equimod.losses import byol_loss
from equimod.ssl.base import Method, two


def momentum(progress: float, start: float, end: float) -> float:
    """The momentum of the target network, from `start` to `end` along a cosine, as BYOL's.

    Args:
        progress: the share of all steps that are done, in [0, 1].
        start: the momentum at progress 0.
        end: the momentum at progress 1.
    """
    return end - (end - start) * (math.cos(math.pi * progress) + 1) / 2


class BYOL(Method):
    """Online projector and predictor, target encoder and projector, symmetric loss.

    Only the target's *parameters* follow the online network. Its batch norms normalise with the
    statistics of the batch at hand, as the online ones do, and track running statistics of their
    own from what the target itself computes: averaging the online network's would describe
    activations of other weights. So does EquiMod's released code.

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
        super().__init__()
        self.ema_start = ema_start
        self.ema_end = ema_end
        self.projector = mlp((feature_dim, hidden, dim), last_norm="none")
        self.predictor = mlp((dim, hidden, dim), last_norm="none")
        # inside a tuple, torch does not see the encoder and hence does not register it again
        self._online = (encoder,)
        online = nn.Sequential(OrderedDict(encoder=encoder, projector=self.projector))
        self.target = copy.deepcopy(online).requires_grad_(False)

    def forward(self, images: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
        """See `Method.forward`; the sum of both directions, each in [0, 4] (BYOL, section 3.1)."""
        joint_features = torch.cat(two("BYOL", "features", features))
        joint_images = torch.cat(two("BYOL", "images", images))
        q1, q2 = self.predictor(self.projector(joint_features)).chunk(2)
        with torch.no_grad():
            z1, z2 = self.target(joint_images).chunk(2)
        return byol_loss(q1, z2) + byol_loss(q2, z1)

    def after_step(self, progress: float) -> None:
        """See `Method.after_step`."""
        online = [*self._online[0].parameters(), *self.projector.parameters()]
        average = get_ema_multi_avg_fn(momentum(progress, self.ema_start, self.ema_end))
        average([*self.target.parameters()], online, None)


class BYOLConfig(DocumentModel):
    """BYOL (Grill et al., NeurIPS 2020)."""

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
