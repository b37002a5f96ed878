"""Trainers of a few random images, for a dry run: one takes a step, one only gets ready for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from equimod.data import Batch
from equimod.training.learner import Learner
from equimod.training.trainer import Trainer


class Inputs(NamedTuple):
    """What a learner is called with."""

    reference: Tensor | None
    views: Sequence[Tensor]
    codes: Sequence[Tensor]
    crops: Sequence[Tensor]
    extra: Sequence[Tensor]


class OneStep(Trainer):
    """A trainer of a few random images, which writes nothing."""

    def batch(self) -> Batch:
        """The only batch."""
        found: Batch = next(iter(self._batches(0, 0)))
        return found

    def real_loss(self) -> float:
        """The loss of the first step, which is taken.

        Raises:
            FloatingPointError: it is not finite.
        """
        self._train_step(self.batch(), 0, time.perf_counter())
        return self.sums["loss/total"]


class _Taker(nn.Module):
    """Stands where a learner is, and keeps what it is called with."""

    equimod = None
    arguments: tuple[Any, ...]

    def __init__(self, needs_reference: bool) -> None:
        super().__init__()
        self.needs_reference = needs_reference
        self.weight = nn.Parameter(torch.zeros(1, 1))

    def forward(self, *arguments: Any) -> dict[str, Tensor]:
        self.arguments = arguments
        return {}


class InputsOnly(OneStep):
    """A trainer of modules that compute nothing."""

    def __init__(self, learner: Learner, *around: Any) -> None:
        self._taker = _Taker(learner.needs_reference)
        super().__init__(*around)

    def _new_learner(self) -> Any:
        return self._taker

    def inputs(self) -> Inputs:
        """The arguments of the learner for the only batch."""
        self._losses(self.batch(), 0)
        return Inputs(*self._taker.arguments)
