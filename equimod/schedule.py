"""The learning rate: linear warm-up, then a cosine, per step."""

from __future__ import annotations

import math


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
