"""A trainer of a few random images, for a dry run."""

from __future__ import annotations

import time

from equimod.training.trainer import Trainer


class OneStep(Trainer):
    """A trainer of a few random images, which writes nothing."""

    def real_loss(self) -> float:
        """The loss of the first step, which is taken.

        Raises:
            FloatingPointError: it is not finite.
        """
        self._train_step(next(iter(self._batches(0, 0))), 0, time.perf_counter())
        return self.sums["loss/total"]
