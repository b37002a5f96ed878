"""What changes from step to step: the learning rate, and the weight of the equivariance loss."""

from __future__ import annotations

import math
from typing import Literal

WeightSchedule = Literal["constant", "linear", "cosine"]


def learning_rate(
    step: int, total_steps: int, warmup_steps: int, base_lr: float, final_lr: float = 0.0
) -> float:
    """The learning rate of a step, a pure function of it, so that a resumed run needs no state.

    Rises linearly from 0 at step 0 to `base_lr` at `warmup_steps`, then falls along half a cosine
    (Loshchilov & Hutter, arXiv 1608.03983) to `final_lr`, which it reaches at `total_steps`: one
    after the last step that is taken. Without warm-up, step 0 has `base_lr`.

    Args:
        step: counted from 0.
        total_steps: the number of steps of the whole run.
        warmup_steps: the number of steps of the warm-up.
        base_lr: the highest rate.
        final_lr: the rate at `total_steps`.

    Raises:
        ValueError: unless 0 <= step <= total_steps and 0 <= warmup_steps <= total_steps.
    """
    if not 0 <= step <= total_steps:
        raise ValueError(f"step must lie in [0, {total_steps}], not {step}")
    if not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"warmup_steps must lie in [0, {total_steps}], not {warmup_steps}")
    if step < warmup_steps:
        return base_lr * step / warmup_steps
    if warmup_steps == total_steps:
        return base_lr
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return final_lr + (base_lr - final_lr) * (1 + math.cos(math.pi * progress)) / 2


def loss_weight(
    step: int,
    total_steps: int,
    warmup_steps: int,
    weight: float,
    final: float = 0.0,
    schedule: WeightSchedule = "constant",
) -> float:
    """The weight of a loss at a step, a pure function of it, so that a resumed run needs no state.

    Rises linearly from 0 at step 0 to `weight` at `warmup_steps`. Then it stays (`constant`), or
    goes along a line (`linear`) or half a cosine (`cosine`) to `final`, which it reaches at
    `total_steps`: one after the last step that is taken. `final` may be the larger one.

    Args:
        step: counted from 0.
        total_steps: the number of steps of the whole run.
        warmup_steps: the number of steps of the warm-up.
        weight: the weight after the warm-up.
        final: the weight at `total_steps`; not used by `constant`.
        schedule: how it goes from the one to the other.

    Raises:
        ValueError: unless 0 <= step <= total_steps and 0 <= warmup_steps <= total_steps.
    """
    if schedule == "cosine":
        return learning_rate(step, total_steps, warmup_steps, weight, final)
    risen = learning_rate(step, total_steps, warmup_steps, weight, weight)
    if schedule == "constant" or step < warmup_steps or warmup_steps == total_steps:
        return risen
    return weight + (final - weight) * (step - warmup_steps) / (total_steps - warmup_steps)
