"""DINO: match a slowly moving teacher's distribution over prototypes (arXiv 2104.14294)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from equimod import distributed
from equimod.encoders import Encoder
from equimod.losses import at_least_float32
from equimod.ssl.base import MethodDocument
from equimod.ssl.target import TargetMethod


def dino_loss(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    center: Tensor,
    student_temperature: float,
    teacher_temperature: float | Tensor,
) -> Tensor:
    """The cross entropy of each view's distribution with the teacher's of each other global view.

    DINO, arXiv 2104.14294, Eq. 3 and algorithm 1. The first two views are the global ones; the
    teacher's logits are centred, divided by their temperature, and get no gradient.

    Args:
        student: V tensors `(N, K)`, the student's logits of all views, V >= 2.
        teacher: two tensors `(N, K)`, the teacher's logits of the first two.
        center: `(K,)`, subtracted from the teacher's logits.
        student_temperature: the divisor of the student's logits.
        teacher_temperature: the divisor of the teacher's.

    Returns:
        The mean over the 2 V - 2 pairs of views and the N images; float32 at least, also under
        autocast.
    """
    with torch.autocast(center.device.type, enabled=False):
        first, second = (
            ((at_least_float32(t).detach() - center) / teacher_temperature).softmax(-1)
            for t in teacher
        )
        # of a cross entropy's two factors, the targets' add up
        targets = [second, first, *[first + second] * (len(student) - 2)]
        total = center.new_zeros(())
        for logits, target in zip(student, targets, strict=True):
            guesses = (at_least_float32(logits) / student_temperature).log_softmax(-1)
            total = total - (target * guesses).sum(-1).mean()
        return total / (2 * len(student) - 2)


class Prototypes(nn.Module):
    """The products of normalised embeddings with prototypes of length 1: DINO's last layer.

    A linear layer without bias under weight normalisation (arXiv 1602.07868), whose gain is 1
    unless it is learnt.

    Args:
        dim: D, the width of the embeddings.
        count: K, the number of prototypes.
        learn_lengths: whether each prototype has a length that is learnt.
    """

    def __init__(self, dim: int, count: int, *, learn_lengths: bool = False) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.empty(count, dim))
        nn.init.kaiming_uniform_(self.directions, a=math.sqrt(5))  # as torch's linear layers
        self.lengths = nn.Parameter(torch.ones(count, 1)) if learn_lengths else None

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(N, K)` of embeddings `(N, D)`."""
        prototypes = F.normalize(self.directions, dim=1)
        if self.lengths is not None:
            prototypes = prototypes * self.lengths
        return F.linear(F.normalize(x, dim=1), prototypes)


class DINO(TargetMethod):
    """Student and teacher with a head each; the teacher sees the two global views only.

    The teacher's logits are centred by a moving average of their means over the batch of all
    processes. It moves in `forward`, in training mode, after the batch has been compared.

    Args:
        encoder: the online encoder `(N, C, H, W)` to `(N, feature_dim)`; see `TargetMethod`.
        feature_dim: F, the width of the encoder's features.
        hidden: the width of the head's hidden layers.
        bottleneck: the width of the embeddings that the prototypes are compared with.
        prototypes: K, the number of prototypes.
        layers: linear layers of the head before the prototypes.
        student_temperature: the divisor of the student's logits.
        teacher_temperature: the divisor of the teacher's, after its warm-up.
        warmup_temperature: the same at the beginning.
        warmup: the share of all steps in which it rises linearly from the one to the other.
        center_momentum: the momentum of the centre.
        learn_lengths: whether the prototypes have lengths that are learnt.
        freeze: the share of all steps in which the prototypes stay as they are.
        ema_start: the teacher's momentum at the beginning.
        ema_end: the teacher's momentum at the end.
    """

    center: Tensor
    teacher_temperature: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        feature_dim: int,
        *,
        hidden: int = 2048,
        bottleneck: int = 256,
        prototypes: int = 65536,
        layers: int = 3,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.07,
        warmup_temperature: float = 0.04,
        warmup: float = 0.3,
        center_momentum: float = 0.9,
        learn_lengths: bool = False,
        freeze: float = 0.01,
        ema_start: float = 0.996,
        ema_end: float = 1.0,
    ) -> None:
        super().__init__(ema_start, ema_end)
        self.student_temperature = student_temperature
        self.temperatures = (warmup_temperature, teacher_temperature)
        self.warmup = warmup
        self.center_momentum = center_momentum
        self.freeze = freeze
        widths = (feature_dim, *[hidden] * (layers - 1), bottleneck)
        self.projector = _head(
            widths, Prototypes(bottleneck, prototypes, learn_lengths=learn_lengths)
        )
        # buffers, since a resumed run must go on with them
        self.register_buffer("center", torch.zeros(prototypes))
        self.register_buffer("teacher_temperature", torch.tensor(self._temperature(0.0)))
        self.start_target(encoder, self.projector)

    def forward(self, images: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
        """See `Method.forward`; beyond two, views are small crops that the teacher does not see."""
        if len(features) < 2 or len(images) != len(features):
            raise ValueError(
                f"DINO compares 2 views or more, but got images of {len(images)} and features of "
                f"{len(features)}"
            )
        student = self.projector(torch.cat(tuple(features))).chunk(len(features))
        with torch.no_grad():
            teacher = self.target(torch.cat(tuple(images[:2])))
        temperatures = (self.student_temperature, self.teacher_temperature)
        loss = dino_loss(student, teacher.chunk(2), self.center.clone(), *temperatures)
        if self.training:
            self._move_center(teacher)
        return loss

    def before_step(self, progress: float) -> None:
        """See `Method.before_step`; keeps the prototypes as they are at the beginning."""
        if progress < self.freeze:
            for parameter in self.projector[-1].parameters():
                parameter.grad = None  # not zero, which an optimiser would decay and count

    def after_step(self, progress: float) -> None:
        """See `Method.after_step`."""
        super().after_step(progress)
        self.teacher_temperature.fill_(self._temperature(progress))

    @torch.no_grad()
    def _move_center(self, logits: Tensor) -> None:
        """Moves the centre towards the mean of the logits `(2 N, K)` of all processes (Eq. 4)."""
        total = distributed.all_sum(at_least_float32(logits).sum(0))
        mean = total / (len(logits) * distributed.world_size())
        self.center.lerp_(mean.to(self.center.dtype), 1 - self.center_momentum)

    def _temperature(self, progress: float) -> float:
        start, end = self.temperatures
        return end if progress >= self.warmup else start + (end - start) * progress / self.warmup


class DINOConfig(MethodDocument):
    """DINO (Caron et al., ICCV 2021); the defaults are the paper's, for training of 100 epochs.

    What the paper counts in epochs is a share of the training here.
    """

    takes_crops: ClassVar[bool] = True
    has_target: ClassVar[bool] = True

    name: Literal["dino"] = "dino"

    hidden: int = Field(default=2048, ge=1)
    """Width of the head's hidden layers."""
    bottleneck: int = Field(default=256, ge=1)
    """Width of the embeddings that the prototypes are compared with."""
    prototypes: int = Field(default=65536, ge=2)
    """Number of prototypes, which are the entries of the distributions."""
    layers: int = Field(default=3, ge=1)
    """Linear layers of the head before the prototypes."""
    student_temperature: float = Field(default=0.1, gt=0)
    """Temperature of the student's distribution."""
    teacher_temperature: float = Field(default=0.07, gt=0)
    """Temperature of the teacher's distribution after its warm-up; 0.04 in the code's defaults."""
    warmup_temperature: float = Field(default=0.04, gt=0)
    """Temperature of the teacher's distribution at the beginning."""
    warmup: float = Field(default=0.3, ge=0, le=1)
    """Share of the training in which the teacher's temperature rises; 30 epochs in the paper."""
    center_momentum: float = Field(default=0.9, ge=0, le=1)
    """Momentum of the centre of the teacher's logits."""
    learn_lengths: bool = False
    """Whether prototypes have lengths that are learnt: `norm_last_layer false` in the code, which
    is better for small ViTs, but less stable."""
    freeze: float = Field(default=0.01, ge=0, le=1)
    """Share of the training in which prototypes stay as they are; one epoch in the code."""
    ema_start: float = Field(default=0.996, ge=0, le=1)
    """Momentum of the teacher at the beginning."""
    ema_end: float = Field(default=1.0, ge=0, le=1)
    """Momentum of the teacher at the end, reached along a cosine."""

    def build(self, encoder: Encoder) -> DINO:
        """The method for `encoder`, of which the teacher starts as a copy."""
        return DINO(encoder, encoder.feature_dim, **self.model_dump(exclude={"name"}))


def _head(widths: Sequence[int], last: nn.Module) -> nn.Sequential:
    """Linear layers with GELU between them, initialised as the authors', and the last layer."""
    modules: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        linear = nn.Linear(fan_in, fan_out)
        nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(linear.bias)
        modules += [linear, nn.GELU()]
    return nn.Sequential(*modules[:-1], last)
