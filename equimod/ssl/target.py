"""What methods with a target network share: a copy that follows the online one."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from equimod.ssl.base import Method, two


def momentum(progress: float, start: float, end: float) -> float:
    """The momentum of a target network, from `start` to `end` along a cosine, as BYOL's.

    Args:
        progress: the share of all steps that are done, in [0, 1].
        start: the momentum at progress 0.
        end: the momentum at progress 1.
    """
    return end - (end - start) * (math.cos(math.pi * progress) + 1) / 2


class TargetMethod(Method):
    """A method whose `target` is a moving average of the online encoder and projector.

    Only the target's *parameters* follow the online network. Its batch norms normalise with the
    statistics of the batch at hand, as the online ones do, and track running statistics of their
    own from what the target itself computes: averaging the online network's would describe
    activations of other weights. So does EquiMod's released code.

    Args:
        ema_start: the target's momentum at the beginning.
        ema_end: the target's momentum at the end.
    """

    target: nn.Module
    """Maps images `(N, C, H, W)` to projections; `encoder` and `projector` are its parts."""

    def __init__(self, ema_start: float, ema_end: float) -> None:
        super().__init__()
        self.ema_start = ema_start
        self.ema_end = ema_end

    def start_target(self, encoder: nn.Module, projector: nn.Module) -> None:
        """Makes the target a copy of the two, which it follows from now on."""
        # inside a tuple, torch does not see the encoder and hence does not register it again
        self._online = (encoder, projector)
        online = nn.Sequential(OrderedDict(encoder=encoder, projector=projector))
        self.target = copy.deepcopy(online).requires_grad_(False)

    def after_step(self, progress: float) -> None:
        """See `Method.after_step`."""
        online = [p for module in self._online for p in module.parameters()]
        average = get_ema_multi_avg_fn(momentum(progress, self.ema_start, self.ema_end))
        average([*self.target.parameters()], online, None)


class PredictingMethod(TargetMethod):
    """A method whose online network predicts the target's projections of the other view."""

    projector: nn.Module
    predictor: nn.Module

    def predictions_and_targets(
        self, name: str, images: Sequence[Tensor], features: Sequence[Tensor]
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Both views' predictions `(N, D)`, and the target's projections of them, without gradient.

        Both views pass through each network as one batch, so that online and target network meet
        the same statistics.

        Args:
            name: of the method, for messages.
            images: the views `(N, C, H, W)`.
            features: the online encoder's features of them `(N, F)`.

        Raises:
            ValueError: there are not two views.
        """
        joint_features = torch.cat(two(name, "features", features))
        joint_images = torch.cat(two(name, "images", images))
        q1, q2 = self.predictor(self.projector(joint_features)).chunk(2)
        with torch.no_grad():
            z1, z2 = self.target(joint_images).chunk(2)
        return (q1, q2), (z1, z2)
